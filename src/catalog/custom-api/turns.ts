/** A bounded number at work, and a bounded number that wait, with half of the places for one party at most. */
export interface Turns {
  /** Resolves when it is this party's turn. False at once where too many wait, or too many of its own. */
  enter (party: string): Promise<boolean>
  /** Gives the place to the next. */
  leave (): void
}

/** Parties that wait take turns, however many each has in line. */
export function createTurns ({ workingMax, waitingMax }: { readonly workingMax: number, readonly waitingMax: number }): Turns {
  let working = 0
  let waiting = 0
  // In the order of their turns.
  const round = new Map<string, (() => void)[]>()
  return Object.freeze({
    enter: async (party: string) => {
      if (working < workingMax) {
        working++
        return true
      }
      const line = round.get(party) ?? []
      if (waiting >= waitingMax || line.length >= waitingMax / 2) return false
      waiting++
      round.set(party, line)
      await new Promise<void>((resolve) => { line.push(resolve) })
      return true
    },
    leave: () => {
      const [next] = round
      if (next === undefined) {
        working--
        return
      }
      const [party, line] = next
      waiting--
      line.shift()?.()
      round.delete(party)
      if (line.length > 0) round.set(party, line)
    },
  })
}
