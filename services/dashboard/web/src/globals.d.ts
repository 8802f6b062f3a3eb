/** Definitions of docs/metrics.md, put there by the build. */
declare const METRIC_DEFINITIONS: readonly { name: string; unit: string; formula: string }[];

declare module '*.css';
