// Faults to plant, for rehearsals: FAULTS="exec-reports=5%,council=800ms" makes every
// twentieth use of exec reports fail and every council take 800 ms longer. Without the
// feature, nothing fails: that is what a release of a flag has to find out.

const NAMES = ['exec-reports', 'master-reports', 'consolidation', 'council'];

/** Reads what is to go wrong. What cannot be read is an error: a rehearsal must not pass
 * because its fault was misspelt. */
export function planted(text = '') {
  const faults = new Map();
  for (const part of text.split(',').map((part) => part.trim()).filter(Boolean)) {
    const [, name, number, unit] = /^([a-z-]+)=(\d+(?:\.\d+)?)(%|ms)$/.exec(part) ?? [];
    if (!NAMES.includes(name)) {
      throw new Error(`FAULTS: ${part}: write it as NAME=5% or NAME=800ms, of ${NAMES.join(', ')}`);
    }
    const fault = faults.get(name) ?? { share: 0, delay: 0, owed: 0 };
    if (unit === '%') fault.share = Math.min(Number(number), 100) / 100;
    else fault.delay = Number(number);
    faults.set(name, fault);
  }

  return {
    /** Does what is planted for this part: waits, or throws. */
    async meet(name) {
      const fault = faults.get(name);
      if (!fault) return;
      if (fault.delay > 0) await new Promise((done) => setTimeout(done, fault.delay));
      // Evenly: of 100 uses at 5 %, exactly five.
      fault.owed += fault.share;
      if (fault.owed >= 1 - 1e-9) {
        fault.owed -= 1;
        throw new Error(`${name} failed, as planted`);
      }
    },
  };
}
