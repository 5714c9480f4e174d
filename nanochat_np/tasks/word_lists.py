"""Words that are written here: common ones that the embedded text may lack, and hard ones that are never trained."""

from nanochat_np.tasks.tables import listed

COMMON = listed(
    """
    apple; orange; lemon; grape; cherry; melon; bread; butter; cheese; sugar; pepper; water; coffee; kitchen;
    garden; window; table; chair; pillow; blanket; mirror; bottle; basket; hammer; ladder; candle; pencil;
    paper; letter; school; teacher; student; doctor; sister; brother; mother; father; daughter; family; friend;
    people; summer; winter; spring; autumn; morning; evening; weather; thunder; rainbow; river; mountain;
    forest; desert; island; ocean; planet; rabbit; monkey; elephant; tiger; giraffe; dolphin; penguin; spider;
    butterfly; chicken; horse; kitten; puppy; happy; hungry; yellow; purple; silver; hello; goodbye
    """
)

# Repeated syllables, doubled letters, silent letters and long words: averages hide a weakness at them.
HARD_WORDS = listed(
    """
    strawberry; banana; mississippi; bookkeeper; committee; tennessee; raspberry; blueberry; blackberry;
    cranberry; gooseberry; accommodate; assassin; assessment; possess; possession; successful; unsuccessful;
    aggressive; embarrass; harassment; millennium; parallel; balloon; cappuccino; spaghetti; broccoli; zucchini;
    mozzarella; lasagna; papaya; coconut; cucumber; avocado; pineapple; tomato; potato; parrot; raccoon;
    kangaroo; hippopotamus; rhinoceros; alligator; crocodile; caterpillar; grasshopper; dragonfly; hummingbird;
    woodpecker; mosquito; rhythm; queue; necessary; occurrence; recommend; restaurant; vacuum; wednesday;
    february; tomorrow; beginning; questionnaire; connoisseur; bureaucracy; entrepreneur; lieutenant;
    conscience; mischievous; onomatopoeia; abracadabra; alabama; hawaii; cincinnati; massachusetts; connecticut;
    philadelphia; minnesota; savannah; mayonnaise; vanilla; cinnamon; cocoa; barbecue; chocolate; marshmallow;
    pumpernickel; sassafras; tarantula; rococo; tattoo; voodoo; mammal; bubble; puppet; coffeepot; addressee;
    referee; levelled; sleeplessness; whippersnapper
    """
)
