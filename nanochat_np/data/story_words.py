"""The words and sentences that ``stories`` puts together.

A slot in braces is filled from the scene of a story. Slots of the hero are named by their plural form (``they``,
``were``, ``our``): the hero is one child or two. Those of the thing that gets lost are named by the singular (``it``,
``was``). A slot with a capital begins a sentence.
"""

# ruff: noqa: SIM905  (words are easier to read and to add to in a line of plain text than quoted one by one)

# Forms for a girl, a boy and two friends, and for one thing and several: all that has to agree.
ONE = {"were": "was", "names": "name was", "we": "I", "us": "me", "our": "my", "are": "am"}
GIRL = ONE | {"they": "she", "them": "her", "their": "her", "selves": "herself"}
BOY = ONE | {"they": "he", "them": "him", "their": "his", "selves": "himself"}
FRIENDS = {"were": "were", "names": "names were", "we": "we", "us": "us", "our": "our", "are": "are"}
FRIENDS |= {"they": "they", "them": "them", "their": "their", "selves": "themselves"}
SINGULAR = {"it": "it", "it_object": "it", "was": "was", "is": "is", "has": "has"}
PLURAL = {"it": "they", "it_object": "them", "was": "were", "is": "are", "has": "have"}

GIRLS = "Mia Lily Anna Zoe Ruby Nora Ella Ivy Clara Hana Greta Sofia Wilma Yara Penny".split()
BOYS = "Tom Ben Sam Max Leo Omar Finn Jack Noah Hugo Felix Oscar Udo Vito Kofi".split()
TRAITS = "brave clever curious gentle kind quiet cheerful shy busy merry patient funny dreamy lively stubborn".split()
RELATIVES = "grandmother grandfather mother father aunt uncle sister brother cousin teacher neighbor".split()
ANIMALS = (
    "owl fox hedgehog squirrel rabbit badger otter mouse beaver frog turtle duck crow heron mole bear wolf deer "
    "donkey sheep hen cat dog pony snail ant elephant swan"
).split()
SIZES = "old tiny wise sleepy young gray round friendly odd brown lonely polite elegant clumsy".split()
COLORS = "red blue green yellow orange purple white black silver golden pink striped".split()
THINGS = (
    "kite ball boat drum lantern hat scarf bell basket flute whistle puppet spoon wagon blanket cup umbrella ring "
    "lamp trumpet clock robot"
).split()
MANY_THINGS = "marbles boots mittens beads shells buttons skates ribbons gloves crayons slippers coins".split()
WEATHER = "sunny windy rainy cold warm bright foggy snowy cloudy frosty calm golden".split()
TIMES = "morning afternoon evening day".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
NUMBERS = "one two three four five six seven eight nine ten".split()
CREATURE = "frog bird bee goose lamb kitten beetle spider moth sparrow".split()
CREATURES = "frogs birds bees geese lambs kittens beetles spiders moths sparrows".split()
SAD = "sad lost worried unhappy pale tired".split()
FEELINGS = "happy proud glad hungry thankful cheerful".split()

PLACES = (
    *("the garden", "the old mill", "the river", "the forest", "the village", "the harbor", "the castle", "the lake"),
    *("the green hill", "the market", "the school", "the lighthouse", "the meadow", "the windy beach", "the farm"),
    *("the stone bridge", "the apple orchard", "the deep valley", "the railway station", "the empty tower"),
)
HOBBIES = (
    *("climb trees", "count the stars", "paint stones", "build dams", "tell riddles", "bake bread", "sing songs"),
    *("read books", "swim", "draw maps", "plant beans", "dance in the rain", "watch the clouds", "feed the ducks"),
    *("catch leaves", "mend clocks", "invent games", "play the piano", "ride a bicycle", "whistle like a bird"),
)
FOODS = (
    *("warm soup", "apple pie", "honey cake", "bread and cheese", "pancakes", "a bowl of berries", "hot potatoes"),
    *("plum jam", "fresh carrots", "roasted nuts", "noodles", "a slice of melon", "porridge", "sweet corn"),
)

OPENINGS = (
    "Once upon a time there {were} {kind} called {name}.",
    "Long ago, near {place}, there lived {kind} called {name}.",
    "{name} {were} {kind} from a house near {place}.",
    "In a small house near {place} lived {kind}, and {their} {names} {name}.",
    "Everybody near {place} knew {name}, {kind}.",
    "This is a story about {kind}. {Their} {names} {name}.",
)
HABITS = (
    "{They} loved to {hobby}.",
    "Every {weekday} {they} went out to {hobby}.",
    "{Their} {relative} said that nobody could {hobby} as well as {they} could.",
    "On {weather} days {they} liked to {hobby} near {place}.",
    "More than anything, {they} wanted to learn to {hobby}.",
    "",
)
GIFTS = (
    "One {weather} {time}, {their} {relative} gave {them} {a_thing}.",
    "One {weather} {time}, on the way to {place}, {they} found {a_thing}.",
    "For a whole year {they} had wished for {a_thing}, and on a {weather} {weekday} the wish came true.",
    "{They} worked for {number} weeks and bought {a_thing} at the market.",
    "One {weather} {time}, {they} made {a_thing} all by {selves}.",
    "When {they} turned {number}, {their} {relative} sent {them} {a_thing}.",
)
JOYS = (
    "{They} took {it_object} everywhere, even to bed.",
    "{Their} eyes shone, and {they} carried {it_object} to {place}.",
    '"Look at {our} {noun}!" said {name} to {their} {relative}.',
    '"What will {we} do with {it_object}?" asked {name}, and {they} began to laugh.',
    "{Thing} {was} not new, but {it} {was} just right.",
    "Nobody else in the village had {a_thing}.",
)
ASIDES = (
    "{Creatures} sat on the fence and watched.",
    "There {creature_was} {creatures} beside the path.",
    "{They} counted {creatures} on the way.",
    "Far away {creatures} made a noise.",
    "",
    "",
)
# What goes wrong, what does not help, and what does.
TROUBLES = (
    (
        "Then the wind took {thing} and threw {it_object} high into a tall tree.",
        "{They} jumped as high as {they} could, but the branch was too far away.",
        "{Helper} climbed up and shook the branch until {thing} fell softly into the grass.",
    ),
    (
        "But on the wet stones {they} slipped, and {thing} fell into the river.",
        "{They} reached out with a long stick, but the water ran too fast.",
        "{Helper} hurried to the next bend, waited, and pulled {thing} out of the water.",
    ),
    (
        "Then {they} leaned over the wall, and {thing} dropped into a deep well.",
        "{They} let down a rope, but the rope was too short.",
        "{Helper} tied the rope to a vine, slid down, and came up again with {thing}.",
    ),
    (
        "But the next morning {thing} {was} locked in a heavy box, and nobody had the key.",
        "{They} pulled and pushed, but the box stayed shut.",
        "{Helper} looked under a flat stone, found a little key, and opened the box.",
    ),
    (
        "But on the way home {thing} sank into the deep mud.",
        "{They} pulled and pulled, but the mud pulled back.",
        "{Helper} laid a board over the mud and lifted {thing} out, dirty but whole.",
    ),
    (
        "But a cheeky magpie saw {thing} and carried {it_object} up to its nest on the roof.",
        "{They} shouted and waved, but the magpie only laughed.",
        "{Helper} sang to the magpie so sweetly that it brought {thing} back.",
    ),
    (
        "That night it snowed, and in the morning {thing} {was} gone under the snow.",
        "{They} dug here and there until {their} fingers were cold.",
        "{Helper} sniffed twice and dug one deep hole, and there {was} {thing}.",
    ),
    (
        "Then {they} tripped over a root, and {thing} rolled into a dark cave.",
        "{They} looked inside, but it was too dark to see.",
        "{Helper} called a swarm of fireflies, and soon {they} could see {thing}.",
    ),
    (
        "Then {they} ran too fast, and {thing} flew over the fence into the thorns.",
        "{They} tried to crawl under the fence, but the thorns were too sharp.",
        "{Helper} did not mind the thorns at all and soon came back with {thing}.",
    ),
    (
        "Then a thick fog came down, and {they} lost {thing} and the way home.",
        "{They} walked in a circle and came to the same rock {number} times.",
        "{Helper} knew every path, found {thing} behind a log, and led {them} out of the fog.",
    ),
    (
        "Then {thing} slid far out onto the thin ice of the pond.",
        "{They} took one step, but the ice went crack.",
        "{Helper} lay down flat, crept over the ice, and pushed {thing} back to the shore.",
    ),
    (
        "But a hungry goat took {thing} for its dinner and ran away.",
        "{They} ran after it, but the goat was much faster.",
        "{Helper} offered the goat some clover, and it dropped {thing} at once.",
    ),
    (
        "Then a grumpy giant sat down on {thing} and fell asleep.",
        "{They} tickled his big toe, but the giant only snored.",
        "{Helper} whispered a joke, and the giant laughed so hard that he rolled off {thing}.",
    ),
    (
        "But {their} {relative} forgot {thing} on the train.",
        "{They} ran along the rails, but the train was already behind the hills.",
        "{Helper} knew the driver, and the next train came back with {thing}.",
    ),
)
MEETINGS = (
    'Just then {a_helper} came by. "Why do you look so {sad}?" asked {helper}.',
    '"What is the matter?" said a voice. It was {a_helper}.',
    '{A_helper} heard {them} and stopped. "Can I help you?" asked {helper}.',
    'Behind a bush stood {a_helper}. "You look {sad}," said {helper}. "What happened?"',
    'After a while {a_helper} sat down beside {them}. "Tell me everything," said {helper}.',
)
ANSWERS = (
    '"{We} cannot get {our} {noun} back," said {name}. "{It} {is} all that {we} have."',
    '"{Thing} {is} gone, and {we} {are} too small," said {name}.',
    '"{Our} {noun} {has} been gone for an hour," said {name}. "Please help {us}."',
    '"{We} only wanted to {hobby}," said {name}, and {they} began to cry.',
    '{name} pointed. "There {is} {our} {noun}," {they} said, "and here {are} {we}."',
)
OFFERS = (
    '"Do not cry," said {helper}. "I have a plan."',
    '"That is not so hard," said {helper}. "I will show you."',
    '"I will try," said {helper}, "if you give me {food}." So {they} gave it {food}.',
    '"My {relative} taught me what to do," said {helper}.',
    '"Wait here and count to {number}," said {helper}.',
    "",
)
THANKS = (
    '"Thank you!" cried {name}. "You are the best {animal} in the world!"',
    '"How can {we} thank you?" asked {name}. "Be kind to the next one," said {helper}.',
    '{name} laughed and danced around {helper}. "Hooray!" {they} cried.',
    '"Come home with {us}," said {name}. "We have {food} for dinner."',
)
ENDINGS = (
    "Then {they} went home, {feeling} and tired, and ate {food}.",
    "That night {they} put {thing} beside the bed and slept until morning.",
    "From that day on, {name} and {helper} were friends.",
    "If you walk past {place}, you may still see {them} there with {helper}.",
    "And every {weekday} {they} took {food} to {helper}.",
    "{They} never lost {thing} again.",
)
MORALS = (
    "A small friend can be a great help.",
    "It is good to ask when you do not know.",
    "Whoever shares has more.",
    "Even a long night ends with a morning.",
    "",
    "",
)
