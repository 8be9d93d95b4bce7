import { http } from '../http/index.ts'
import { inner } from '../ledger/inner.ts'

export const store = [http, inner]
