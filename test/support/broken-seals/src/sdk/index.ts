import { inner } from '../ledger/inner.ts'
import { client } from './client/index.ts'

export const sdk = [inner, client]
