// What the view and an engine say to each other. Two engines speak it: torch in the kernel (through anywidget) and
// WebAssembly in a Web Worker. This file holds no code: only the types, for readers and for `tsc --noEmit`.
//
// - A message is a flat object with a `type`; every array of numbers is a Float32Array at its top level. The kernel
//   sends them as binary buffers beside the JSON, in the order of the message's `arrays`: see attach() in widget.js.
// - JSON carries no NaN and no infinity: a single number that is not finite is null. Inside Float32Arrays all are allowed.
// - Iterations count from 1; 0 is "before the first". Iteration i's batch, atlas and hazard belong to the weights that
//   iteration i started from: the engine computes the atlas BEFORE it updates.
// - Each run has a tag `run` that the engine never uses twice. Whatever the view gets with another tag than its current
//   run's it drops; a command names the run it means and the engine drops those for another run.
// - A frame waits for the view's `ack` of those before: WebAssembly's of the last one, the kernel's of one in 8. An `ack` is
//   also the heartbeat: it comes at once even from a hidden page, so a running engine that hears none for 30 s pauses.

export type Settings = Record<string, string | number>; // field name to value, always all fields

// ---- engine to view

/** What this engine can do: the answer to `hello`, always before the first Run. */
export interface Lab {
  type: "lab";
  lr: number; // the rate the slider starts with, 1e-6 to 1e-1, kept to the last digit
  fields: Field[]; // the controls beside the rate, in this order: data, fix or loss, batch, seed, latent ...
  fork: string; // name of the choice that a fork takes over beside the rate: "fix", "loss"
  recorded: { id: string, label: string, seeds: number }[]; // runs that `open` can show, with seeds 0 ... seeds - 1
  // recorded lives, to draw a class's guesses over: the iteration of the NaN, one a seed; a field left out may have any value
  lives: { lr: number, settings: Settings, iterations: number[] }[];
  outcomes?: Outcome[]; // table of earlier runs, newest last (after a reload)
  note?: string; // one sentence to show at the start
}
export interface Field {
  name: string; label: string; // key in Settings; visible name
  kind: "choice" | "whole"; value: string | number; // at the start
  options?: string[]; // of a choice; a value outside the menu (Lab's own recipe) is one option more
  min?: number; max?: number; // of a whole number
}
/** A line of the table: of which run, "1e-4, then 1e-3 at 812", "pulses, no fix, seed 0", "100" or "none", "NaN at 14". */
export interface Outcome { run: number, rates: string, settings: string, guess: string, outcome: string }

/** A new run (or the old one once more, to a new page): the view forgets the current one, keeps its curves as a ghost. */
export interface Run {
  type: "run"; run: number; // the tag
  lr: number; settings: Settings; // at its start
  title: string; // one line: "pulses, no fix, batch 64, seed 0"
  kind: "series" | "image" | "plane"; // samples are curves over time, square images, or points in the plane
  dimension: number; unit: string; // numbers a sample: 64, 64, 2; "mV"
  real: Float32Array; most: number; // (any, dimension) real samples; the largest size of a number in all: it sets the axes
  low: number | null; high: number | null; // the cliffs, as logits; null if this loss has none
  scores: boolean; // false: this loss gives no probabilities, so no scores are shown
  signed: boolean; // the loss passes 0: symlog axis instead of log
  reach: number; // the atlas goes along z from -reach to reach
  slice: boolean; // the latent is wider than one number: dots are projected, all is "one slice"
  averaged: boolean; // samples and atlas are drawn by the averaged G
  hazard: "exact" | "tail" | "sampled" | null; // how the hazard is computed; null: there is none
  recorded: boolean; nanAt: number | null; // of a recorded run (shown only when it gets there)
  stops?: Float32Array; // of a recorded run: iterations that `scrub` can show, ascending
  parent: number | null; // tag of the run it was forked from, and ...
  forkedAt?: number; // ... the iteration whose weights both shared: the child's first row is this iteration
}

/** One iteration as a picture: part of each frame, and the answer to `scrub` (then alone, type "moment"). */
export interface Picture {
  run: number; iteration: number;
  z: Float32Array; // (batch,) the latent, or for a slice its projection on the slice's direction
  lengths?: Float32Array; // (batch,) |z| of a wide latent
  fakeLogits: Float32Array; realLogits: Float32Array; // (batch,)
  real: Float32Array; fake: Float32Array; // (shown, dimension) the batch's first real samples, at most 64; generated samples ...
  fakeIndex?: Float32Array; // (shown,) ... and which of the batch they are; without it 0, 1, 2 ... (at most 256 are sent; the
  // largest and smallest logit and the fatal sample always are)
  atlasAt: number; // iteration of the atlas; the view says so if it is not this one
  curve: Float32Array; // (points,) D's logit along z, evenly spaced from -reach to reach
  image: Float32Array; // (points, dimension) the atlas: what G draws there; for "plane" may be empty
  heat?: Float32Array; box?: Float32Array; // "plane" only: D's logit on a square grid, from the lowest y, over [x0, x1, y0, y1]
  cloud?: Float32Array; // "plane" only: (any, 2) more generated points than the batch has
  verdict: Verdict | null; // of the fatal iteration
  chance?: number | null; // that a batch of these weights kills the run; in a frame as it was when it was last looked at
}
export interface Verdict {
  iteration: number; words: string; // the sentence: term, sample, logit, why, how rare its latent is
  side: "fake" | "real" | null; index: number | null; // whose sample, and which: fake[k] with fakeIndex[k] = index, or real[index]
}

/** New rows, the latest batch, and how things stand. The first frame after a Run may have no rows (iteration 0: batch
 * arrays empty, atlas of the initial weights). A recorded run sends all its rows in one frame. */
export interface Frame extends Picture {
  type: "frame";
  state: "ready" | "running" | "paused" | "ended"; // ended: a loss is not finite, only Reset (or a fork) goes on
  rows?: Float32Array; // (new, 9) since the last frame, in the order of series.js; of a recorded run, instead of these ...
  lows?: Float32Array; highs?: Float32Array; // (new, 9) ... the extremes of the iterations that each of its rows stands for ...
  at?: Float32Array; // (new,) ... and the last one of these; without it rows are consecutive and end at `iteration`
  rates: [number, number][]; // history: [iteration from which, rate], first [1, lr]
  rate: number; // the rate in force at this iteration (the slider's times warm-up or anneal)
  speed: number | null; // iterations a second
  dead: boolean; // finite, but G gets no gradient any more; said while it runs
  rewind: [number, number] | null; // iterations that `scrub` and `fork` can go back to, inclusive; null while running
  said?: string; // one sentence: a cap, an error, a pause because nobody watched
  quiet?: boolean; // it wants no `ack`
}
export type FromEngine = Lab | Run | Frame | Picture & { type: "moment" };

// ---- view to engine

/** What the controls show; it goes along with whatever may begin a run, so that no press comes before its settings.
 * The engine begins a new run if the settings (the rate aside) are not those of the current one, or if that has ended. */
export interface Choice { settings: Settings, lr: number, speed: "slow" | "normal" | "fast" }

export type Command =
  { type: "hello" } // a page is there: answer with Lab, Run, and a Frame with all rows so far
  | { type: "start" } & Choice // go on, or begin; the rate is lr from the next iteration on
  | { type: "one", only: "d" | "g" | null } & Choice // one iteration: of both networks, only "d" or only "g"
  | { type: "pause" }
  | { type: "reset" } & Choice // build the run of this choice afresh and show it, paused at iteration 0
  | { type: "rate", run: number, lr: number } // in flight; of whatever run there is then: it may be typed while a run begins
  | { type: "speed", speed: Choice["speed"] } // in flight. slow: 2.5 iterations a second; normal: starts slow; fast: all it can
  | { type: "ack", run: number, iteration: number }
  | { type: "scrub", run: number, iteration: number } // answer with the "moment" of that iteration, or of the nearest stop
  | { type: "fork", run: number, iteration: number } & Choice // a new run, paused, from the weights before that iteration
  | { type: "open", id: string, seed: number } // show a recorded run: Run, and one Frame; a live run is paused and kept
  | { type: "live" } // show the live run again: Run (same tag), and a Frame with all its rows
  | { type: "outcome", outcome: Outcome } // a line of the table, to hand back after a reload; one for each run
  | { type: "bye" }; // this page goes away: pause
