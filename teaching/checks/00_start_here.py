"""What is right and what is wrong because of what, in the exercises of notebook 00."""

from utils.exercises import Exercise, Mistake, near

EXERCISES = {
    "0.1": Exercise(
        right=near(361, 2),
        notice="an epoch of 361 iterations and 695 epochs: the author's patience, not ours, makes 250,800.",
        mistakes=[
            Mistake.near(250_800 / 39_720, "that is iterations a second: divide by the epochs"),
            Mistake.near(695 / 250_800, "that is epochs an iteration, the inverse"),
            Mistake.near(12_200 / 34, "that is the run at 1e-4; the question is about 1e-5"),
        ],
    ),
    "0.2": Exercise(
        right=near(128 * 361, 300),
        notice="about 46,000 samples, if the batch was 128. The post does not say.",
        mistakes=[
            Mistake.near(361, "that is the number of batches; each holds 128 samples"),
            Mistake.near(64 * 361, "that takes our batch of 64; MATLAB's example has 128"),
            Mistake.near(128 * 250_800, "that counts each sample once an epoch, 695 times in all"),
        ],
    ),
    "0.3": Exercise(
        right=near([1220, 250_800 / 12_200], by=[36, 0.6]),
        notice="if only the length of a step counted, both would be 10. So the rate does more than set the pace.",
        mistakes=[
            Mistake.near([10, 10], "that is what the rate was divided by; divide the lives"),
            Mistake.near([12_190, 238_600], "those are differences; a factor is a quotient"),
            Mistake.near([1 / 1220, 1 / 20.56], "upside down: the longer life stands above"),
            Mistake.near([20.56, 1220], "the other order: first from 1e-3 to 1e-4"),
        ],
    ),
    "0.4": Exercise(
        right=near(0.921, 0.005),
        notice="D took nearly every generated sample for real, in the very iteration in which its loss broke.",
        mistakes=[
            Mistake.near(0.541, "that is the discriminator's score; the question asks for the generator's"),
            Mistake.near(0.051, "that is iteration 9, where D's score is hidden; its loss is missing at 10"),
            Mistake.near(0.323, "that is the generator's loss, not its score"),
            Mistake.near(10, "that is the iteration; the question asks for the score there"),
        ],
    ),
}
