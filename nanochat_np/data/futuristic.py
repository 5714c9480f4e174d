"""The "futuristic" style: a built-in text to learn from besides one's own, and words that sampling leans towards."""

import math

import numpy as np
import numpy.typing as npt

from nanochat_np.text.character import BOS, CharTokenizer

WORDS = ("neon", "quantum", "neural", "orbital", "reactor", "wormhole", "autonomous", "synthetic")

TEXT = """\
The neon harbor wakes before the second sun.
Cargo drones hum a slow song above the docks.
A quantum clock counts the hours of seven worlds.
The orbital elevator carries rain to the dry towers.
Deep in the station, the reactor breathes in blue light.
Nobody remembers who wrote the first neural garden.
It grows thoughts the way old Earth grew apples.
The autonomous trains argue about poetry at night.
Synthetic foxes run along the glass roofs.
Captain Ilo folds her map and listens to the static.
A wormhole opens where the lighthouse used to stand.
Through it comes a letter, a feather and the smell of snow.
The letter is signed by a ship that was never built.
The archive says the ship will be launched next spring.
We repair the solar sails with thread and patience.
The robots in the market sell clocks, maps and honey.
Every android on the bridge has a favorite star.
Gravity is cheap on Monday and expensive on Friday.
The quantum choir sings one note in two places.
Its echo returns from orbit nine minutes early.
A neural lamp glows when somebody tells the truth.
The lamp in the senate has been dark for a century.
Children race their hover bikes along the ring road.
From the window they see the reactor, round and warm as a moon.
The autonomous gardener waters the moss on the hull.
It names every leaf and forgets none of them.
Synthetic rain falls at six; bring an umbrella or a song.
The orbital library lends dreams for fourteen days.
Late dreams are fined one memory each.
An engineer asks the wormhole where it wants to go.
Home, says the wormhole, and nobody knows how to answer.
The neon signs learn new words from the passing crowds.
At midnight they spell out the names of lost satellites.
Signal received: two pulses, one pause, a laugh.
The machine mind plays chess against the weather.
So far the weather has won every game but one.
We leave the airlock open for the friendly comet.
Its tail is full of seeds and radio.
Tomorrow the colony will vote on a color for the sky.
The stars are patient, and the engines are ready.
"""


def transition_bias(tokenizer: CharTokenizer) -> npt.NDArray[np.float64]:
    """What to add to a bigram's logits, (V, V) float64 [previous, next], to favour the transitions of WORDS.

    ln 4, which makes the odds fourfold, for each pair of neighbours within a word and for a word's first character
    after BOS and after a line end; 0 elsewhere. A word with a character outside the vocabulary counts for nothing.
    """
    bias = np.zeros((tokenizer.vocab_size, tokenizer.vocab_size))
    line_end = tokenizer.encode("\n" if "\n" in tokenizer.characters else "")
    starts = [BOS, *line_end]
    for word in WORDS:
        if set(word) <= set(tokenizer.characters):
            ids = tokenizer.encode(word)
            bias[starts, ids[0]] = math.log(4)
            bias[ids[:-1], ids[1:]] = math.log(4)
    return bias
