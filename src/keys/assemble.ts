import { createDestroyer } from './destroy.ts'
import { createInspector } from './inspect.ts'
import { createKeyMeasure } from './measure.ts'
import type { KeysOptions } from './options.ts'
import { createOverview } from './overview.ts'
import { createRetirement } from './retire.ts'
import { createRotation } from './rotate.ts'
import { createKeySweeper } from './sweep.ts'

export type Keys = ReturnType<typeof createKeys>

export function createKeys (options: KeysOptions) {
  const { overview } = createOverview(options)
  return Object.freeze({
    overview,
    ...createRotation(options),
    ...createRetirement(options),
    ...createDestroyer(options),
    ...createInspector(options),
    sweeper: createKeySweeper(options),
    measure: createKeyMeasure(options, overview),
  })
}
