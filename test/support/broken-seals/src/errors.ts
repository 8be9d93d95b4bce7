import { access } from './access/index.ts'

export const errors = access
