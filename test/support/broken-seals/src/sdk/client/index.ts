import { hostname } from 'node:os'

export const client = hostname
