import { runApart } from './run-apart.ts'

runApart('import { stopCluster } from "./cluster.ts"; await stopCluster()')
