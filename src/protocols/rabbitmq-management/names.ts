/** Vhosts ⇄ namespaces; the node's own name. */
export const namespaceOf = (vhost: string): string => (vhost === '/' ? 'default' : vhost)
export const vhostOf = (namespace: string): string => (namespace === 'default' ? '/' : namespace)

/** There is one node. */
export const nodeName = 'anymq@localhost'
