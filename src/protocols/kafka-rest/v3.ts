/** How answers of version 3 name themselves and each other. */
import { clusterNotFound } from './errors.ts'
import type { Call } from './route.ts'

export const clusterPath = '/v3/clusters/:cluster'

/** Throws where the path names another cluster. */
export function own(call: Call): void {
  if (call.parameter('cluster') !== call.broker.clusterId) throw clusterNotFound()
}

export const base = (call: Call): string => `/v3/clusters/${call.broker.clusterId}`

export function url(call: Call, path: string): string {
  const { connection, headers } = call.request
  const host = headers['host'] ?? `${connection.localAddress}:${connection.localPort}`
  return `${connection.encrypted ? 'https' : 'http'}://${String(host)}${path}`
}

/** `path` below the cluster's. */
export const related = (call: Call, path: string): object => ({ related: url(call, `${base(call)}/${path}`) })

export function list(call: Call, kind: string, path: string, data: readonly object[]): object {
  return { kind, metadata: { self: url(call, path), next: null }, data }
}

/** One thing below the cluster. `resource`: its name there, as `topic=orders`. */
export function thing(call: Call, kind: string, path: string, resource: string, fields: object): object {
  const resourceName = `crn:///kafka=${call.broker.clusterId}/${resource}`
  return {
    kind,
    metadata: { self: url(call, `${base(call)}/${path}`), resource_name: resourceName },
    cluster_id: call.broker.clusterId,
    ...fields,
  }
}
