import { store } from '../store/index.ts'

export const http = (): unknown => store
