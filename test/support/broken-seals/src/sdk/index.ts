import { inner } from '../ledger/inner.ts'

export const sdk = [inner]
