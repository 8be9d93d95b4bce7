/** One thing that was looked at. `bad` decides the exit code; `skipped` could not be looked at, for what another finding says. */
export interface Finding {
  readonly check: string
  readonly state: 'ok' | 'note' | 'bad' | 'skipped'
  readonly said: string
}

export const ok = (check: string, said: string): Finding => ({ check, state: 'ok', said })
export const note = (check: string, said: string): Finding => ({ check, state: 'note', said })
export const bad = (check: string, said: string): Finding => ({ check, state: 'bad', said })
export const skipped = (check: string, said: string): Finding => ({ check, state: 'skipped', said })
