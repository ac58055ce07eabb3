export { dashboardController } from './dashboard.controller.js';
export type { DashboardSettings } from './dashboard.controller.js';
export { Trend } from './trend.js';
export type { TrendReport } from './trend.js';
