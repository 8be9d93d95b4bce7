import { createHash } from 'node:crypto'
import { values } from '../crypto/secret-values.ts'

export const catalog = [createHash, values]
