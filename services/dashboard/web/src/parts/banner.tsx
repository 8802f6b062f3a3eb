import type { ComponentChildren } from 'preact';

/** Something that is away, while it is. */
export function Banner({ children }: { children: ComponentChildren }) {
  return (
    <div class="banner" role="alert">
      <span aria-hidden="true" class="banner-sign">
        !
      </span>
      <span>{children}</span>
    </div>
  );
}
