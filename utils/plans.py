"""What was tried, as plain data: the fixes, the recommended recipe, and the plans of what data/ records.

Imports nothing. {field: value} dictionaries are changes of `Recipe()`, the main recipe of the series.
"""

# One change of the recipe each: what the lab's menu offers and what the fix matrix measures.
FIXES = {
    "no fix": {},
    "logits loss": {"loss": "logits"},
    "BCELoss": {"loss": "bce"},
    "log(. + 1e-8)": {"loss": "epsilon"},
    "clamped score": {"loss": "clamp"},
    "LSGAN": {"loss": "lsgan"},
    "hinge": {"loss": "hinge"},
    "WGAN, unclipped": {"loss": "wgan"},
    "WGAN-GP": {"loss": "wgan", "penalty": "wgan-gp", "gamma": 10.0},
    "relativistic": {"loss": "relativistic"},
    "normalised units": {"normalise": True},
    "bounded latent": {"prior": "uniform"},
    "bounded output": {"bounded": True},
    "R1": {"penalty": "r1"},
    "R2": {"penalty": "r2"},
    "R1 and R2": {"penalty": "r1+r2"},
    "spectral norm": {"spectral": True},
    "label smoothing": {"smoothing": 0.1},
    "label flips": {"flips": 0.35},
    "instance noise": {"noise": 0.1},
    "gradient clipping": {"clip": 1.0},
    "slower D": {"d_rate": 0.25},
    "faster D": {"d_rate": 4.0},
    "averaged G": {"ema": 0.999},
    "warm-up": {"warmup": 1000},
    "alternating updates": {"alternating": True},
    "beta1 = 0": {"beta1": 0.0},
    "wider latent": {"latent": 16},
    "G's own noise": {"grain": True},
}
# How strong a fix is, in words: a penalty reads the slope of D's logit in the units of what D reads, here millivolts.
STRENGTHS = {"R1": "gamma 1 mV²", "R2": "gamma 1 mV²", "R1 and R2": "gamma 1 mV²", "WGAN-GP": "gamma 10, slope 1 / mV"}
# What people try as well, on the naive recipe: changes of it, and a remedy, one of utils.remedies, that no reader sets himself.
TRIED = {
    remedy: {"remedy": remedy}
    for remedy in (
        "gradients through nan_to_num", "steps skipped", "restarts", "float64", "logits cut", "logits bent",
        "gradient values cut", "eps = 1e-3", "eps = 1e-4", "AMSGrad", "AdamW", "RMSprop", "SGD", "SGD with momentum",
        "5 D : 1 G", "1 D : 5 G", "BatchNorm in G", "BatchNorm in D", "dropout in D", "small weights",
    )
} | {
    "R1, gamma 120 mV²": {"penalty": "r1", "gamma": 120.0},  # as strong as the recommended one, in its units
    "WGAN clipped": {"loss": "wgan", "remedy": "D's weights cut"},
    "beta2 = 0.9": {"beta2": 0.9}, "narrower D": {"hidden_d": 64},
    "batch of 16": {"batch": 16}, "batch of 256": {"batch": 256}, "batch of 512": {"batch": 512},
}  # fmt: skip
# Networks and latent that suit pulses, and the plain game in raw units: what the parts of a recipe are added to.
NETWORKS = {"loss": "logits", "latent": 4, "layers": 3, "hidden_g": 64, "hidden_d": 128, "grain": True}
R1 = {"penalty": "r1", "gamma": 0.3 * 20**2}  # in millivolts: 0.3 in full scales
CALM = {"beta1": 0.0, "beta2": 0.99}
# What the series recommends for pulses, at 1e-3 and for 10,000 iterations: chosen on seeds 100 and 101, see data/LOG.md.
RECOMMENDED = {**NETWORKS, **R1, **CALM, "alternating": True, "ema": 0.999, "anneal": 10_000}
# The recommended recipe with one ingredient taken back.
REDUCED = {
    "R1": {"penalty": "none"}, "alternating updates": {"alternating": False}, "averaging": {"ema": 0.0},
    "annealing": {"anneal": 0}, "betas 0 and 0.99": {"beta1": 0.5, "beta2": 0.999}, "wider latent": {"latent": 1},
    "depth": {"layers": 1}, "narrow G": {"hidden_g": 512}, "G's own noise": {"grain": False},
}  # fmt: skip
# Its networks with the plain game, and with its parts: each alone, and one by one.
CONTROLS = {
    "plain": {}, "normalised units": {"normalise": True}, "averaging": {"ema": 0.999}, "annealing": {"anneal": 10_000},
    "R1": R1, "R1, averaging": {**R1, "ema": 0.999}, "R1, averaging, annealing": {**R1, "ema": 0.999, "anneal": 10_000},
    "R1, averaging, annealing, betas 0 and 0.99": {**R1, **CALM, "ema": 0.999, "anneal": 10_000},
}  # fmt: skip
# What others recommend, and more combinations.
OTHERS = {
    "alternating updates": {"alternating": True}, "betas 0 and 0.99": CALM, "relativistic loss": {"loss": "relativistic"},
    "normalised units, averaging, annealing": {"normalise": True, "ema": 0.999, "anneal": 10_000},
    "R3GAN's game": {**RECOMMENDED, "loss": "relativistic", "penalty": "r1+r2"},
    "lazy R1": {**RECOMMENDED, "remedy": "lazy penalty"}, "optimistic Adam": {"remedy": "optimistic Adam"},
    "optimistic Adam, averaging": {"remedy": "optimistic Adam", "ema": 0.999},
}  # fmt: skip
# The first recommendation, at 1e-3: found by trying on seed 0. Group "without": what each part is worth.
COMBINATION = {
    "loss": "relativistic", "penalty": "r1", "gamma": 0.3, "alternating": True, "normalise": True, "latent": 4,
    "layers": 3, "hidden_g": 64, "hidden_d": 128, "beta1": 0.0, "beta2": 0.99, "ema": 0.999, "anneal": 20_000, "grain": True,
}  # fmt: skip
# That combination with one ingredient taken back: what each of them is worth in company.
WITHOUT = {
    "relativistic loss": {"loss": "logits"}, "penalty": {"penalty": "none"}, "alternating updates": {"alternating": False},
    "normalised units": {"normalise": False, "gamma": COMBINATION["gamma"] * 20**2},  # the same penalty, in millivolts
    "wider latent": {"latent": 1}, "depth": {"layers": 1},
    "narrow G": {"hidden_g": 512}, "beta1 = 0": {"beta1": 0.5}, "averaged G": {"ema": 0.0}, "annealing": {"anneal": 0},
    "G's own noise": {"grain": False},
}  # fmt: skip
# The main recipe with the NaN cured, its units normalised and a latent wide enough for the family of pulses.
CURED = {"loss": "logits", "normalise": True, "latent": 64}
MASKS = ("BCELoss", "log(. + 1e-8)", "clamped score")  # no NaN, and no gradient either
SLOW = (*MASKS, "LSGAN", "relativistic", "normalised units", "bounded latent", "gradient clipping")  # worth a slower rate
# What had no NaN at 1e-3, and what goes on or dies later there, is worth 1e-4 with a longer cap.
SURVIVORS = (*MASKS, "logits loss", "LSGAN", "hinge", "WGAN, unclipped", "WGAN-GP", "relativistic", "normalised units")
TRIED_SLOW = (
    "gradients through nan_to_num", "steps skipped", "restarts", "float64", "logits cut", "logits bent", "R1, gamma 120 mV²",
    "WGAN clipped", "SGD", "BatchNorm in D", "small weights",
)  # fmt: skip
UNCURED = [fix for fix in FIXES if fix not in ("logits loss", "normalised units", "wider latent", *MASKS)]  # what CURED lacks
# The same game on ring and grid: the benchmark. An average of G narrows the islands, so it is measured, not recommended.
AVERAGED = {**COMBINATION, "latent": 2, "gamma": 0.02, "hidden_g": 128, "batch": 256, "grain": False}
POINTS = {**AVERAGED, "ema": 0.0}
PLAIN = {**POINTS, "loss": "logits", "penalty": "none", "alternating": False, "beta1": 0.5, "beta2": 0.999}
TRADE = {  # points of a curve, width against quality
    "plain GAN": PLAIN, "averaged over 100": {**POINTS, "ema": 0.99}, "averaged over 1,000": AVERAGED,
    "plain GAN, packed by 3": {**PLAIN, "remedy": "packed by 3"},
}  # fmt: skip
RING, GRID = {"data": "ring", "anneal": 14_000}, {"data": "grid", "anneal": 12_000}
# The 25 Gaussians once more, with the networks, latent, batch, length and samples of a textbook draft of 2026: its own two
# games, ours at its rate, and ours at rates that were searched for on seed 0, then corrected twice.
DRAFT = {"data": "grid", "layers": 2, "hidden_g": 256, "hidden_d": 256, "latent": 64, "batch": 256, "beta1": 0.0, "beta2": 0.99}
OURS = {name: AVERAGED[name] for name in ("loss", "penalty", "gamma", "alternating", "normalise", "ema")}
OURS_ON_DRAFT = {**DRAFT, **OURS, "anneal": 20_000}

# Is it only the small GAN? The latent of MATLAB's example, and its kind of networks on the 8 x 8 digits, of a width like
# its own and of a quarter of that.
LARGER = {
    "latent of 100": {"latent": 100},
    "latent of 100, digits": {"latent": 100, "data": "digits"},
}
CONVOLUTIONAL = {"convolutional, digits": {"latent": 100, "data": "digits", "remedy": "convolutional"}}
NARROW = {"narrow convolutional, digits": {"latent": 100, "data": "digits", "remedy": "narrow convolutional"}}
RAISED = {name: {"remedy": name} for name in ("1e-3 after 300", "1e-3 after 3000")}  # the rate, in flight

# data/<data>_lr<rate>/: data, learning rate, seeds (0, 1, 2 ...), cap in iterations; the longest first.
RECORDINGS = (
    ("pulses", 1e-5, 8, 400_000),
    ("digits", 1e-5, 2, 400_000),
    ("pulses", 1e-4, 24, 60_000),
    ("pulses", 3e-4, 20, 60_000),
    ("digits", 1e-4, 8, 60_000),
    ("pulses", 1e-3, 100, 200),
    ("digits", 1e-3, 40, 200),
)
WITH_HAZARD = ("pulses", 1e-4)  # whose recordings also hold the chance of the collapse, every fourth iteration

# data/fixes.csv: group, {fix: its changes}, learning rates, seeds (0, 1, 2 ...), cap in iterations, samples scored (None:
# as many as metrics.quality says). "remedy" among the changes names one of utils.remedies. Every fix at every rate of its
# row; what became of each run is one line there.
TABLE = (
    ("recommended", {"recommended": RECOMMENDED}, (1e-3,), 10, 10_000),
    ("controls", {fix: {**NETWORKS, **parts} for fix, parts in CONTROLS.items()}, (1e-3,), 10, 10_000),
    ("others", {fix: {**NETWORKS, **parts} for fix, parts in OTHERS.items()}, (1e-3,), 5, 10_000),
    ("reduced", {f"without {part}": {**RECOMMENDED, **change} for part, change in REDUCED.items()}, (1e-3,), 3, 10_000),
    # As long as the combination was given.
    (
        "twice",
        {
            "recommended": {**RECOMMENDED, "anneal": 20_000}, "plain": NETWORKS,
            "normalised units": {**NETWORKS, "normalise": True},
        },
        (1e-3,), 3, 20_000,
    ),
    # Ten and a hundred times as long, so that the training is in proportion; and so is the average.
    ("longer", {"recommended": {**RECOMMENDED, "ema": 0.9999, "anneal": 100_000}}, (1e-4,), 5, 100_000),
    ("longest", {"recommended": {**RECOMMENDED, "ema": 0.99999, "anneal": 1_000_000}}, (1e-5,), 2, 1_000_000),
    # Data that nothing was tuned on; gamma is 0.3 in full scales again.
    (
        "digits",
        {
            "plain": {**NETWORKS, "data": "digits"},
            "recommended": {**RECOMMENDED, "data": "digits", "gamma": 0.3 * 16**2},
            "combination": {**COMBINATION, "data": "digits", "anneal": 10_000},
        },
        (1e-3,), 5, 10_000,
    ),
    ("combination", {"combination": COMBINATION}, (1e-3, 1e-4, 1e-5), 10, 20_000),
    ("bar", {"logits loss": FIXES["logits loss"]}, (1e-3, 1e-4), 20, 20_000),
    ("bar", {"logits loss": FIXES["logits loss"]}, (1e-5,), 2, 300_000),
    ("naive", FIXES, (1e-3,), 5, 2_000),
    ("cured", {fix: {**CURED, **FIXES[fix]} for fix in UNCURED}, (1e-3, 1e-4), 4, 3_000),
    ("naive", {fix: FIXES[fix] for fix in SLOW}, (1e-4,), 2, 20_000),
    ("naive", {fix: FIXES[fix] for fix in MASKS}, (1e-5,), 2, 300_000),
    ("benchmark", {"recommended": {**AVERAGED, **RING}, "plain GAN": {**PLAIN, **RING}}, (1e-3,), 10, 14_000),
    ("benchmark", {"recommended": {**AVERAGED, **GRID}, "plain GAN": {**PLAIN, **GRID}}, (1e-3,), 10, 12_000),
    ("width", {"recommended": {**POINTS, **RING}}, (1e-3,), 10, 14_000),
    ("width", {"recommended": {**POINTS, **GRID}}, (1e-3,), 10, 12_000),
    ("width", {fix: {**changes, **RING} for fix, changes in TRADE.items()}, (1e-3,), 3, 14_000),
    ("width", {fix: {**changes, **GRID} for fix, changes in TRADE.items()}, (1e-3,), 3, 12_000),
    ("draft", {"recommended": {**OURS_ON_DRAFT, "d_rate": 0.5, "head_start": 2000}}, (2e-3,), 10, 20_000, 10_000),
    ("draft", {"recommended, no head start": {**OURS_ON_DRAFT, "d_rate": 0.5}}, (2e-3,), 8, 20_000, 10_000),
    ("draft", {"recommended, no head start, D as fast": OURS_ON_DRAFT}, (2e-3,), 4, 20_000, 10_000),
    (
        "draft",
        {
            "at the draft's rate": {**OURS_ON_DRAFT, "head_start": 2000},
            "at the draft's rate, latent of 2": {**OURS_ON_DRAFT, "head_start": 2000, "latent": 2},
            "relativistic+R1+R2": {**DRAFT, "loss": "relativistic", "penalty": "r1+r2"},
            "GAN": {**DRAFT, "loss": "logits"},
        },
        (2e-4,), 3, 20_000, 10_000,
    ),
    ("raised", RAISED, (3e-4, 1e-4), 10, 20_000),
    ("larger", LARGER, (1e-3,), 20, 2_000),
    ("larger", LARGER, (1e-4,), 5, 60_000),
    ("larger", CONVOLUTIONAL, (1e-3,), 20, 2_000),
    ("larger", NARROW, (1e-3,), 5, 2_000),
    ("larger", CONVOLUTIONAL, (1e-4,), 5, 3_000),
    ("tried", TRIED, (1e-3,), 5, 2_000),
    ("tried", {fix: TRIED[fix] for fix in TRIED_SLOW}, (1e-4,), 3, 30_000),
    ("naive", {fix: FIXES[fix] for fix in SURVIVORS}, (1e-4,), 3, 30_000),
    ("without", {f"without {part}": {**COMBINATION, **change} for part, change in WITHOUT.items()}, (1e-3,), 5, 20_000),
)  # fmt: skip
