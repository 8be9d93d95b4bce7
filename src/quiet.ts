const TURNS = 5

/**
 * Waits for a burst to end: until a turn of the event loop goes by in which `count` does not rise,
 * five turns at most. Work that arrives together is then done together. An idle process goes
 * through these turns in microseconds.
 */
export async function untilQuiet (count: () => number): Promise<void> {
  for (let turn = 0, before = -1; turn < TURNS && count() !== before; turn++) {
    before = count()
    await new Promise((resolve) => { setImmediate(resolve) })
  }
}
