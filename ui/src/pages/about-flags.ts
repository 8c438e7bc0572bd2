export { Availability } from './availability';
export { Flag } from './flag';
export { Flags } from './flags';
