import { request } from 'node:http'
import { catalog } from '../catalog/index.ts'
import { reveal } from '../crypto/reveal.ts'
import { wrapSecret } from '../crypto/wrap.ts'

export const access = [request, catalog, reveal, wrapSecret]
