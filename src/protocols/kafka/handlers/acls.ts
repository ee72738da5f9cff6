// DescribeAcls, CreateAcls, DeleteAcls: the broker's rules (acl.ts), which hold for every protocol. Without users nobody is kept from anything, and
// this is a Kafka without an authorizer.
import { type Acl, type AclFilter, aclFrom, checkFilter, matchesFilter, ruleFrom } from '../acl.ts'
import { KafkaError } from '../errors.ts'
import { namespaceName } from '../names.ts'
import { mayCluster } from '../operations.ts'
import { failure, Refused } from '../refused.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import type { KafkaSession } from '../session.ts'

/** Throws Refused where rules cannot be had. */
function checkMay(session: KafkaSession, action: 'describe' | 'alter'): void {
  if (!session.broker.authenticationRequired)
    throw new Refused(KafkaError.SecurityDisabled, 'No users are configured on the broker, so that everybody may do everything')
  if (!mayCluster(session, action))
    throw new Refused(KafkaError.ClusterAuthorizationFailed, `${session.principal.user} may not ${action} the cluster`)
}

const aclsOf = (session: KafkaSession): Acl[] =>
  session.broker.rules
    .list()
    .filter((rule) => rule.namespace === namespaceName)
    .map(aclFrom)

export function describeAcls(request: Request): void {
  const { session } = request
  const filter = filterOf(request.body())
  try {
    checkMay(session, 'describe')
    checkFilter(filter)
  } catch (cause) {
    return request.respond({ ...failure(cause), resources: [] })
  }
  const resources = new Map<string, { resourceType: number; resourceName: string; patternType: number; acls: object[] }>()
  for (const acl of aclsOf(session).filter((each) => matchesFilter(each, filter))) {
    const { resourceType, resourceName, patternType, ...rest } = acl
    const key = `${resourceType}:${patternType}:${resourceName}`
    const resource = resources.get(key) ?? { resourceType, resourceName, patternType, acls: [] }
    resource.acls.push(rest)
    resources.set(key, resource)
  }
  request.respond({ errorMessage: null, resources: [...resources.values()] })
}

const filterOf = (message: Message): AclFilter => message as unknown as AclFilter // the schema's fields are the filter's

export async function createAcls(request: Request): Promise<void> {
  const { session } = request
  const results: object[] = []
  for (const creation of request.body()['creations'] as Message[]) {
    try {
      checkMay(session, 'alter')
      const { resourcePatternType: patternType, ...rest } = creation
      const acl = { ...rest, patternType } as unknown as Acl // the schema's fields are the entry's
      await session.broker.rules.add([ruleFrom(acl, namespaceName)])
      results.push({ errorMessage: null })
    } catch (cause) {
      results.push(failure(cause))
    }
  }
  request.respond({ results })
}

export async function deleteAcls(request: Request): Promise<void> {
  const { session } = request
  const filterResults: object[] = []
  for (const message of request.body()['filters'] as Message[]) {
    const filter = filterOf(message)
    try {
      checkMay(session, 'alter')
      checkFilter(filter)
      const matching = aclsOf(session).filter((acl) => matchesFilter(acl, filter))
      await session.broker.rules.remove(matching.map((acl) => ruleFrom(acl, namespaceName)))
      filterResults.push({ errorMessage: null, matchingAcls: matching.map((acl) => ({ ...acl, errorMessage: null })) })
    } catch (cause) {
      filterResults.push({ ...failure(cause), matchingAcls: [] })
    }
  }
  request.respond({ filterResults })
}
