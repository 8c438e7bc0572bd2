import 'uplot/dist/uPlot.min.css';
import './style/fonts.css';
import './style/base.css';
import './style/frame.css';
import './style/services.css';
import './style/release.css';
import './style/lists.css';
import './style/flags.css';
import { render } from 'preact';
import { App } from './app';
import { begin } from './live/session';

const root = document.getElementById('app');
if (root) render(<App />, root);
void begin();
