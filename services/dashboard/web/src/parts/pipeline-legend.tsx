/** The meaning of the bars of a service. */
export function PipelineLegend() {
  return (
    <p class="legend-line muted">
      <span>
        <span class="swatch share-busy" aria-hidden="true" /> busy
      </span>
      <span>
        <span class="swatch share-waits" aria-hidden="true" /> waits for something
      </span>
      <span>
        <span class="swatch share-idle" aria-hidden="true" /> has nothing to do
      </span>
      <span>shares of time, last ten steps; rates of the last seconds</span>
    </p>
  );
}
