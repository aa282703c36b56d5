"""Inputs that look like what a network is given: pictures, speech, text, molecules. One recipe, one array; always the same.

A recipe is a table with `from` (one of RECIPES) and `shape`; the rest is the recipe's own. `low` and `high` say to what the values 0
to 1 of a picture are stretched. Needs NumPy, and Pillow for pictures."""

import numpy as np

TEXT = (
    "The keeper of the lighthouse climbed the stairs at dusk, lit the lamp, and wrote into his book: wind from the west, "
    "two sails in sight, nothing unusual. He had done so for thirty years and would do so again tomorrow. "
)
CODE = '''#!/usr/bin/env python3
"""Counts the words of each line of a file."""
import sys

def words(line):
    return [word for word in line.split() if word.isalpha()]

for number, line in enumerate(open(sys.argv[1], encoding="utf-8"), start=1):
    print(number, len(words(line)))
'''


def stretched(values, recipe):
    low, high = recipe.get("low", 0.0), recipe.get("high", 1.0)
    return values * (high - low) + low


def scene(height, width):
    """A landscape with a figure: sky, hills, a head and shoulders, some grain; [height, width, 3] within 0 and 1."""
    from PIL import Image, ImageDraw, ImageFilter

    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    for y in range(height):
        t = y / height
        draw.line([(0, y), (width, y)], fill=(int(110 + 90 * t), int(150 + 60 * t), int(220 - 60 * t)))
    hills = [(x, height * (0.62 + 0.08 * np.sin(x / width * 9) + 0.03 * np.sin(x / width * 31))) for x in range(width + 1)]
    draw.polygon(hills + [(width, height), (0, height)], fill=(70, 110, 60))
    w, h = width, height
    draw.ellipse([0.30 * w, 0.62 * h, 0.70 * w, 1.3 * h], fill=(40, 50, 90))
    draw.ellipse([0.38 * w, 0.22 * h, 0.62 * w, 0.66 * h], fill=(214, 170, 140))
    draw.pieslice([0.37 * w, 0.18 * h, 0.63 * w, 0.60 * h], 180, 360, fill=(60, 40, 25))
    for x in (0.45, 0.55):
        draw.ellipse([(x - 0.025) * w, 0.41 * h, (x + 0.025) * w, 0.45 * h], fill=(250, 250, 250))
        draw.ellipse([(x - 0.01) * w, 0.415 * h, (x + 0.01) * w, 0.445 * h], fill=(30, 30, 30))
    draw.polygon([(0.5 * w, 0.45 * h), (0.48 * w, 0.53 * h), (0.52 * w, 0.53 * h)], fill=(190, 140, 115))
    draw.arc([0.45 * w, 0.52 * h, 0.55 * w, 0.60 * h], 20, 160, fill=(150, 60, 60), width=max(1, h // 80))
    pixels = np.asarray(picture.filter(ImageFilter.GaussianBlur(max(h / 200, 0.5))), np.float32) / 255
    grain = np.random.default_rng(11).normal(0, 0.012, pixels.shape).astype(np.float32)
    return np.clip(pixels + grain, 0, 1)


def printed(height, width, lines):
    """Dark print on paper, [height, width, 3] within 0 and 1."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (width, height), (244, 241, 232))
    draw = ImageDraw.Draw(picture)
    row = height / len(lines)
    for at, line in enumerate(lines):
        draw.text((width * 0.03, row * (at + 0.12)), line, fill=(35, 30, 40), font=ImageFont.load_default(size=row * 0.62))
    pixels = np.asarray(picture, np.float32) / 255
    return np.clip(pixels + np.random.default_rng(5).normal(0, 0.01, pixels.shape).astype(np.float32), 0, 1)


def as_picture(pixels, recipe):
    """`layout` NCHW (as by default) or NHWC; one channel is the brightness."""
    values = stretched(pixels, recipe)
    channels_last = recipe.get("layout") == "NHWC"
    if recipe["shape"][3 if channels_last else 1] == 1:
        values = (values @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    one = values if channels_last else values.transpose(2, 0, 1)
    return np.repeat(one[None], recipe["shape"][0], axis=0)


def size_of(recipe):
    shape = recipe["shape"]
    return shape[1:3] if recipe.get("layout") == "NHWC" else shape[2:4]


def from_scene(recipe):
    return as_picture(scene(*size_of(recipe)), recipe)


def from_print(recipe):
    return as_picture(printed(*size_of(recipe), recipe.get("lines", ["Invoice 2041-B"])), recipe)


def speech(samples, rate=16000):
    """Something like speech: syllables of a gliding voice through three formants, hisses and pauses; within -1 and 1."""
    rng = np.random.default_rng(7)
    t = np.arange(samples) / rate
    pitch = 120 * 2 ** (0.25 * np.sin(2 * np.pi * 0.7 * t) + 0.05 * np.sin(2 * np.pi * 5 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voiced = np.zeros(samples)
    formants = [(500 + 250 * np.sin(2 * np.pi * 2.1 * t), 90), (1500 + 500 * np.sin(2 * np.pi * 1.3 * t), 140), (2600 + 0 * t, 200)]
    for n in range(1, 40):
        strength = sum(1 / (1 + ((n * pitch - centre) / width) ** 2) for centre, width in formants)
        voiced += strength * np.sin(n * phase) * (n * pitch < rate / 2)
    syllable = np.clip(np.sin(2 * np.pi * 3.3 * t), 0, 1) ** 0.7
    hiss = np.diff(rng.normal(0, 1, samples + 1)) * np.clip(np.sin(2 * np.pi * 3.3 * t + 2.6), 0, 1) ** 4
    pause = (np.sin(2 * np.pi * 0.31 * t + 0.4) > -0.6).astype(float)
    wave = (voiced / 6 * syllable + 0.12 * hiss) * pause + rng.normal(0, 0.001, samples)
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def from_speech(recipe):
    shape = recipe["shape"]
    return speech(int(np.prod(shape)), recipe.get("rate", 16000)) * recipe.get("loudness", 1.0)


def spectra(frames, bands, rate, window, hop):
    """Magnitudes of the Fourier transform of speech, [frames, bands]."""
    wave = speech(window + hop * (frames - 1), rate)
    pieces = np.stack([wave[hop * i : hop * i + window] for i in range(frames)]) * np.hanning(window)
    return np.abs(np.fft.rfft(pieces))[:, :bands]


def mel_spectra(frames, bands, rate, window, hop):
    """Energies of speech in bands as the ear has them, [frames, bands]."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    at = np.arange(window // 2 + 1) * rate / window
    up = (at[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - at[None]) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.clip(np.minimum(up, down), 0, None)
    return spectra(frames, window // 2 + 1, rate, window, hop) ** 2 @ filters.T


def from_spectrum(recipe):
    """The last two axes of `shape` are frames and bands (`bands_first`: bands and frames); `mel` and `log` as said."""
    frames, bands = recipe["shape"][-2:]
    if recipe.get("bands_first"):
        frames, bands = bands, frames
    window, hop = recipe.get("window", 400), recipe.get("hop", 160)
    values = (mel_spectra if recipe.get("mel") else spectra)(frames, bands, recipe.get("rate", 16000), window, hop)
    if recipe.get("log"):
        # As most programs have it: eight powers of ten at most, then within -1 and 1.
        values = np.log10(np.maximum(values, 1e-10))
        values = (np.maximum(values, values.max() - 8) + 4) / 4
    return np.broadcast_to(values.T if recipe.get("bands_first") else values, recipe["shape"])


def from_noise(recipe):
    """A signal with more of the slow than of the fast, as brains and machines give it, along the last axis; seeded."""
    shape = recipe["shape"]
    waves = np.random.default_rng(recipe.get("seed", 1)).normal(size=shape)
    spectrum = np.fft.rfft(waves, axis=-1) / np.sqrt(np.arange(1, shape[-1] // 2 + 2))
    values = np.fft.irfft(spectrum, n=shape[-1], axis=-1)
    return values / values.std() * recipe.get("scale", 1.0)


def from_normal(recipe):
    """What an earlier network would have given: normally distributed, seeded."""
    return np.random.default_rng(recipe.get("seed", 1)).normal(0, recipe.get("scale", 1.0), recipe["shape"])


def from_text(recipe):
    """Characters of an English text as numbers of a vocabulary of `vocabulary`, the first `first`."""
    shape, first = recipe["shape"], recipe.get("first", 1)
    codes = np.frombuffer((TEXT * 40).encode()[: int(np.prod(shape))], np.uint8).astype(np.int64)
    return first + codes % (recipe["vocabulary"] - first)


def from_words(recipe):
    """Words of an English text as numbers of a vocabulary: not the tokeniser's, but such as it could give."""
    shape, first = recipe["shape"], recipe.get("first", 1)
    words = (TEXT * 40).split()[: int(np.prod(shape))]
    ids = [first + sum(ord(c) * 131**i for i, c in enumerate(word)) % (recipe["vocabulary"] - first) for word in words]
    for at, value in recipe.get("ends", {}).items():
        ids[int(at)] = value
    return np.array(ids)


def from_one_hot_text(recipe):
    """Characters of a word or text, one-hot along the last axis."""
    codes = np.frombuffer((TEXT * 40).encode()[: int(np.prod(recipe["shape"][:-1]))], np.uint8)
    return np.eye(recipe["shape"][-1])[codes % recipe["shape"][-1]]


def from_program(recipe):
    """The bytes of a program: its beginning and its end, the rest `padding`."""
    half = recipe["shape"][-1] // 2
    code = list(CODE.encode())
    begin, end = code[:half], code[-half:]
    return np.array(begin + [recipe["padding"]] * (half - len(begin)) + [recipe["padding"]] * (half - len(end)) + end)


def from_bonds(recipe):
    """Pairs of atoms of a chain with a ring at its end, both ways: [2, edges]."""
    atoms = recipe["atoms"]
    pairs = [(i, i + 1) for i in range(atoms - 1)] + [(atoms - 6, atoms - 1)]
    return np.array(pairs + [(b, a) for a, b in pairs]).T


def from_kinds(recipe):
    """Kinds of things, one each, mostly the first few: numbers below `kinds`, or one-hot along the last axis."""
    shape = recipe["shape"]
    rng = np.random.default_rng(recipe.get("seed", 3))
    kinds = recipe["kinds"]
    if recipe.get("one_hot"):
        return np.eye(kinds)[np.minimum(rng.geometric(0.35, shape[:-1]) - 1, kinds - 1)]
    return np.minimum(rng.geometric(0.35, shape) - 1, kinds - 1)


def from_table(recipe):
    """A row of figures as they stand in tables, within `low` and `high`."""
    return stretched(np.random.default_rng(recipe.get("seed", 2)).random(recipe["shape"]), recipe)


def from_value(recipe):
    return np.full(recipe["shape"], recipe["value"])


def from_values(recipe):
    return np.array(recipe["values"])


def from_count(recipe):
    return np.arange(int(np.prod(recipe["shape"])))


RECIPES = {name[5:]: made for name, made in list(globals().items()) if name.startswith("from_")}


def made(recipe, dtype):
    """The array of this recipe, of the network's type."""
    return np.ascontiguousarray(RECIPES[recipe["from"]](recipe)).reshape(recipe.get("shape", [-1])).astype(dtype)
