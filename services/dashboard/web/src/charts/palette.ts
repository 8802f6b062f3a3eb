/** Colours of charts; series are told apart by colour-blind people too (Okabe and Ito, dimmed for each ground). */
export interface Palette {
  /** The last is of what is of no interest. */
  series: readonly string[];
  text: string;
  muted: string;
  grid: string;
  ground: string;
  mark: string;
}

const LIGHT: Palette = {
  series: ['#0b62a8', '#c8690a', '#0a8a68', '#a8467f', '#5a6b7b', '#8a7400', '#c3cbd2'],
  text: '#1b2229',
  muted: '#5b6670',
  grid: '#e3e7ea',
  ground: '#ffffff',
  mark: '#8b5a00',
};
const DARK: Palette = {
  series: ['#6db3f2', '#f0a04b', '#4cc9a0', '#e08fc0', '#a3b1bf', '#d9c34a', '#46525d'],
  text: '#e4e9ed',
  muted: '#9aa6b1',
  grid: '#2c343c',
  ground: '#181d22',
  mark: '#e3b04b',
};

export const paletteOf = (isDark: boolean): Palette => (isDark ? DARK : LIGHT);
