import { runApart } from './run-apart.ts'

runApart('import { startCluster } from "./cluster.ts"; await startCluster()')
