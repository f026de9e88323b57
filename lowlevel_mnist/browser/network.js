"use strict";
// The network: from pixels to logits, and from a logit back to the pixels.
//
// What ../model.py and the gradient tape do, for one image. A layer is {weights, biases}: weights a
// Float32Array, row by row of [inputs, outputs], biases a Float32Array [outputs].

/**
 * Returns what each layer's weighted sums are before ReLU, a Float64Array for each; the last are
 * the logits.
 *
 * pixels: scaled to 0..1.
 */
function preActivations(layers, pixels) {
  const sums = [];
  let outputs = pixels;
  for (const { weights, biases } of layers) {
    const own = new Float64Array(biases);
    for (let i = 0; i < outputs.length; i++) {
      // Most pixels are background, and ReLU leaves many outputs at 0.
      if (outputs[i] !== 0) {
        const first = i * own.length;
        for (let j = 0; j < own.length; j++) {
          own[j] += outputs[i] * weights[first + j];
        }
      }
    }
    sums.push(own);
    outputs = own.map(relu);
  }
  return sums;
}

function relu(value) {
  return Math.max(value, 0);
}

/** Softmax: exp(logit), divided by the sum of that over the classes. */
function probabilities(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
}

/**
 * Returns the gradient of one weighted sum with respect to the pixels, a Float64Array.
 *
 * layer, unit: which one; in the first layer these are its weights.
 * sums: what preActivations has given.
 */
function gradient(layers, layer, unit, sums) {
  const { weights, biases } = layers[layer];
  let slopes = new Float64Array(weights.length / biases.length);
  for (let i = 0; i < slopes.length; i++) {
    slopes[i] = weights[i * biases.length + unit];
  }
  while (layer > 0) {
    layer -= 1;
    slopes = slopes.map((slope, j) => (sums[layer][j] > 0 ? slope : 0));
    slopes = backThrough(layers[layer].weights, slopes);
  }
  return slopes;
}

/** Returns the slopes with respect to a layer's inputs, from those with respect to its outputs. */
function backThrough(weights, slopes) {
  const outputs = slopes.length;
  const before = new Float64Array(weights.length / outputs);
  for (let i = 0; i < before.length; i++) {
    let total = 0;
    for (let j = 0; j < outputs; j++) {
      total += weights[i * outputs + j] * slopes[j];
    }
    before[i] = total;
  }
  return before;
}
