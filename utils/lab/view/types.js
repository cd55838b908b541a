// What the view and an engine say to each other. Two engines speak it: torch in the kernel (through anywidget) and
// WebAssembly in a Web Worker. This file holds no code: only the types, for readers and for `tsc --noEmit`.
//
// - A message is a flat object with a `type`; every array of numbers is a Float32Array at its top level, never deeper. The kernel
//   sends them as binary buffers beside the JSON, in the order of the message's `arrays`: see attach() in widget.js.
// - JSON carries no NaN and no infinity: a single number that is not finite is null. Inside Float32Arrays all are allowed.
// - Iterations count from 1; 0 is "before the first". Iteration i's batch, atlas and hazard belong to the weights that
//   iteration i started from: the engine computes the atlas BEFORE it updates.
// - Each run has a tag `run` that the engine never uses twice. Whatever the view gets with another tag than its current
//   run's it drops; a command names the run it means and the engine drops those for another run.
// - A frame waits for the view's `ack` of those before: WebAssembly's of the last one, the kernel's of one in eight. An `ack` is
//   also the heartbeat: it comes at once even from a hidden page, so a running engine that hears none for 30 s pauses.

/** The order of a row: one float an iteration each. Scores are means of probabilities.
 * @typedef {"loss_g"|"loss_d"|"score_g"|"score_d"|"fake_max"|"fake_min"|"real_max"|"real_min"|"fake_max_z"} Quantity */
/** @typedef {Object<string, string|number>} Settings   field name to value, always all fields */

// ---- engine to view

/** What this engine can do: the answer to `hello`, always before the first Run.
 * @typedef {object} Lab
 * @property {"lab"} type
 * @property {number} lr                the rate the slider starts with, 1e-6 to 1e-1, kept to the last digit
 * @property {Field[]} fields           the controls beside the rate, in this order: data, fix or loss, batch, seed, latent ...
 * @property {string} fork              name of the choice that a fork may change beside the rate: "fix", "loss"
 * @property {{id: string, label: string, seeds: number}[]} recorded   runs that `open` can show, with seeds 0 ... seeds - 1
 * @property {{lr: number, settings: Settings, iterations: number[]}[]} lives   recorded lives, to draw a class's guesses over: the
 *                                      iteration of the NaN, one a seed; a field left out of settings may have any value
 * @property {Outcome[]} [outcomes]     table of earlier runs, newest last (after a reload)
 * @property {string} [note]            one sentence to show at the start */

/** @typedef {object} Field
 * @property {string} name              key in Settings
 * @property {string} label             visible name: "Batch"
 * @property {"choice"|"whole"} kind
 * @property {string|number} value      at the start
 * @property {string[]} [options]       of a choice; a value outside the menu (Lab's own recipe) is one option more
 * @property {number} [min]             of a whole number
 * @property {number} [max] */

/** A line of the table: of which run, "1e-4, then 1e-3 at 812", "pulses, no fix, seed 0", "100" or "none", "NaN at 14".
 * @typedef {{run: number, rates: string, settings: string, guess: string, outcome: string}} Outcome */

/** A new run (or the old one once more, to a new page): the view forgets the current one, keeps its curves as a ghost.
 * @typedef {object} Run
 * @property {"run"} type
 * @property {number} run               the tag
 * @property {number} lr
 * @property {Settings} settings        as they are in force
 * @property {string} title             one line: "pulses, no fix, batch 64, seed 0"
 * @property {"series"|"image"|"plane"} kind   samples are curves over time, square images, or points in the plane
 * @property {number} dimension         numbers a sample: 64, 64, 2
 * @property {string} unit              "mV"
 * @property {Float32Array} real        (any, dimension) real samples: they set the axes
 * @property {number|null} low          the cliffs, as logits; null if this loss has none
 * @property {number|null} high
 * @property {boolean} scores           false: this loss gives no probabilities, so no scores are shown
 * @property {boolean} signed           the loss passes 0: symlog axis instead of log
 * @property {number} reach             the atlas goes along z from -reach to reach
 * @property {boolean} slice            the latent is wider than one number: dots are projected, all is "one slice"
 * @property {boolean} averaged         samples and atlas are drawn by the averaged G
 * @property {"exact"|"tail"|"sampled"|null} hazard   how the hazard is computed; null: there is none
 * @property {boolean} recorded
 * @property {number|null} nanAt        of a recorded run (shown only when it gets there)
 * @property {Float32Array} [stops]     of a recorded run: iterations that `scrub` can show, ascending
 * @property {number|null} parent       tag of the run it was forked from, and ...
 * @property {number} [forkedAt]        ... the iteration whose weights both shared: the child's first row is this iteration
 * @property {number} [most]            the largest size of a real number (the view's own) */

/** New rows, the latest batch, and how things stand. The first frame after a Run may have no rows (iteration 0: batch
 * arrays empty, atlas of the initial weights). A recorded run sends all its rows in one frame.
 * @typedef {object} FrameOnly
 * @property {"frame"} type
 * @property {"ready"|"running"|"paused"|"ended"} state   ended: a loss is not finite, only Reset (or a fork) goes on
 * @property {Float32Array} rows        (new, 9) since the last frame, in the order of Quantity
 * @property {Float32Array} [at]        (new,) iteration of each row; without it rows are consecutive and end at `iteration`
 * @property {Float32Array} [lows]      (new, 9) extremes where a row is the mean of many iterations; else absent
 * @property {Float32Array} [highs]
 * @property {Float32Array} hazardAt    (looks,) iterations at which the hazard was computed since the last frame
 * @property {Float32Array} hazards     (looks,) the chance that this batch kills the run, 0 to 1
 * @property {[number, number][]} rates history: [iteration from which, rate], first [1, lr]
 * @property {number} rate              the rate in force at this iteration (the slider's times warm-up or anneal)
 * @property {number|null} speed        iterations a second
 * @property {boolean} dead             finite, but G gets no gradient any more; said while it runs
 * @property {[number, number]|null} rewind   iterations that `scrub` and `fork` can go back to, inclusive; null while running
 * @property {string} [said]            one sentence: a cap, an error, a pause because nobody watched
 * @property {boolean} [quiet]          it wants no `ack` */

/** One iteration as a picture: part of each frame, and the answer to `scrub` (then alone, type "moment").
 * @typedef {object} Picture
 * @property {number} run
 * @property {number} iteration
 * @property {Float32Array} z           (batch,) the latent, or for a slice its projection on the slice's direction
 * @property {Float32Array} [lengths]   (batch,) |z| of a wide latent
 * @property {Float32Array} fakeLogits  (batch,)
 * @property {Float32Array} realLogits  (batch,)
 * @property {Float32Array} real        (shown, dimension) the batch's first real samples, at most 64
 * @property {Float32Array} fake        (shown, dimension) generated samples ...
 * @property {Float32Array} [fakeIndex] (shown,) ... and which of the batch they are; without it 0, 1, 2 ... (at most 256
 *                                      are sent; the largest and smallest logit and the fatal sample always are)
 * @property {number} atlasAt           iteration of the atlas; the view says so if it is not this one
 * @property {Float32Array} curve       (points,) D's logit along z, evenly spaced from -reach to reach
 * @property {Float32Array} image       (points, dimension) the atlas: what G draws there; for "plane" may be empty
 * @property {Float32Array} [heat]      "plane" only: D's logit on a square grid, (rows, columns), from the lowest y ...
 * @property {Float32Array} [box]       ... over [x0, x1, y0, y1]
 * @property {Float32Array} [cloud]     "plane" only: (any, 2) more generated points than the batch has
 * @property {Verdict|null} verdict     of the fatal iteration */

/** @typedef {object} Verdict
 * @property {number} iteration
 * @property {string} words             the sentence: term, sample, logit, value, why
 * @property {"fake"|"real"|null} side  whose sample it was
 * @property {number|null} index        which of the batch; its pulse is fake[k] with fakeIndex[k] = index, or real[index]
 * @property {string} [rare]            "z = 3.89, 1 draw in 9,976 is as far out" */

/** @typedef {Picture & FrameOnly} Frame */
/** @typedef {Picture & {type: "moment"}} Moment */
/** @typedef {Lab|Run|Frame|Moment} FromEngine */

// ---- view to engine

/** What the controls show; it goes along with whatever may begin a run, so that no press comes before its settings.
 * The engine begins a new run if the settings (the rate aside) are not those of the current one, or if that has ended.
 * @typedef {{settings: Settings, lr: number, speed: "slow"|"normal"|"fast"}} Choice */

/** hello    a page is there: answer with Lab, Run, and a Frame with all rows so far (about 2,000 at most, else thinned)
 * start    go on, or begin; the rate is lr from the next iteration on
 * one      one iteration: of both networks, only "d" or only "g"
 * reset    build the run of this choice afresh and show it, paused at iteration 0
 * rate     in flight, for the next iteration; of whatever run there is then, for a rate may be typed while a run begins
 * speed    in flight. slow: 2.5 iterations a second; normal: starts slow and accelerates; fast: all it can
 * scrub    answer with the Moment of that iteration (a recorded run: the nearest stop)
 * fork     a new run from the weights before that iteration, with this rate and the choice `fork` of Lab; it is paused
 * open     show a recorded run: Run, and one Frame with all its rows; a live run is paused and kept
 * live     show the live run again: Run (same tag), and a Frame with all its rows
 * outcome  a line of the table, to hand back after a reload; a second one for the same run (from a second page) replaces it
 * bye      this page goes away: pause
 * @typedef {{type: "hello"|"pause"|"live"|"bye"}
 *   | {type: "start"|"reset"} & Choice
 *   | {type: "one", only: "d"|"g"|null} & Choice
 *   | {type: "rate", run: number, lr: number}
 *   | {type: "speed", speed: "slow"|"normal"|"fast"}
 *   | {type: "ack"|"scrub", run: number, iteration: number}
 *   | {type: "fork", run: number, iteration: number} & Choice
 *   | {type: "open", id: string, seed: number}
 *   | {type: "outcome", outcome: Outcome}} Command */

export {};
