import type { ComponentChildren } from 'preact';

/** A view that can't be shown, and why. */
export function Problem({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="problem" role="alert">
      <h1>{title}</h1>
      <p>{children}</p>
    </section>
  );
}
