import type { Crypto } from '../crypto/index.ts'
import type { Ledger } from '../ledger/index.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Database, SealedColumn } from '../store/index.ts'

/** How long a key may seal, or a KEK wrap, before ops are told (NIST SP 800-57 part 1, table 1: up to two years). */
export interface Cryptoperiods {
  readonly kekDays: number
  readonly keyDays: number
}

export interface KeysOptions {
  readonly database: Database
  readonly crypto: Crypto
  readonly ledger: Ledger
  readonly log: Log
  readonly metrics: Pick<Metrics, 'integrityFailures' | 'keys' | 'keyAge' | 'kekAge' | 'rowsToReseal' | 'keysElsewhere'>
  /** The register of sealed columns. */
  readonly columns: readonly SealedColumn[]
  readonly cryptoperiods: Cryptoperiods
  /** Tells this process from the others; its lease on the sweep is under this name. */
  readonly owner: string
}
