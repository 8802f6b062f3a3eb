/** On a span whose trace is to be kept although it is not sampled: why. */
export const KEEP_REASON = 'forge.kept';
