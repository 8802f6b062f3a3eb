import { render } from 'preact';
import { App } from './app';
import { keepToken, takeTokenOf } from './data/token';
import { applyTheme, theme } from './parts/theme';
import './style/colors.css';
import './style/base.css';
import './style/frame.css';
import './style/charts.css';
import './style/contents.css';
import './style/conversation.css';
import './style/waterfall.css';
import './style/narrow.css';

applyTheme(theme());
takeToken();
window.addEventListener('hashchange', takeToken);
render(<App />, document.getElementById('app')!);

/** Takes the token out of the address, where it would be seen and kept. */
function takeToken(): void {
  const token = takeTokenOf(location.hash);
  if (token === null) return;
  keepToken(token);
  location.replace('#/newest');
}
