// What the service does: modules give results, results become reports.

import { randomUUID } from 'node:crypto';

/** Reports that are kept for each configuration, and configurations that are kept. */
const REPORTS = 50;
const CONFIGURATIONS = 5_000;

/** Exec reports in memory, by tenant and configuration. */
export class Store {
  #kept = new Map();

  add(tenant, configurationId, report) {
    const key = JSON.stringify([tenant, configurationId]);
    const list = this.#kept.get(key) ?? [];
    list.push(report);
    if (list.length > REPORTS) list.shift();
    // The one used last goes last, so that the first is the one to forget.
    this.#kept.delete(key);
    this.#kept.set(key, list);
    if (this.#kept.size > CONFIGURATIONS) this.#kept.delete(this.#kept.keys().next().value);
  }

  of(tenant, configurationId) {
    return this.#kept.get(JSON.stringify([tenant, configurationId])) ?? [];
  }
}

/** The result of a module: it was there before all reports. */
export function execute(moduleId, input) {
  const words = String(input ?? '').split(/\s+/).filter(Boolean);
  return { moduleId, words: words.length, insights: [...new Set(words)].slice(0, 5) };
}

/** The report of one execution. */
export function execReport(configurationId, result) {
  return { id: randomUUID(), configurationId, ...result };
}

/** Exec reports together: one after the other, or, consolidated, each insight once with the
 * number of reports that have it. */
export function masterReport(configurationId, reports, { consolidated }) {
  const all = reports.flatMap((report) => report.insights);
  const counts = new Map();
  for (const insight of all) counts.set(insight, (counts.get(insight) ?? 0) + 1);
  const insights = consolidated
    ? [...counts].map(([insight, seen]) => ({ insight, reports: seen }))
    : all.map((insight) => ({ insight }));
  return { id: randomUUID(), configurationId, from: reports.length, insights };
}

/** What a council of modules makes of a master report: costly, and not for everybody. */
export function synthesis(report) {
  const shared = report.insights.filter((each) => (each.reports ?? 1) > 1);
  return { from: report.id, agreed: shared.map((each) => each.insight) };
}
