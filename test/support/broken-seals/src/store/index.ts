import { http } from '../http/index.ts'
import { inner } from '../ledger/inner.ts'
import { sdk } from '../sdk/index.ts'

export const store = [http, inner, sdk]
