/**
 * Resource policies. Who may do what is said by the broker's permissions, for every protocol alike, so a policy is accepted only where it is true
 * without being looked at: statements that allow. While nobody has to log in everything is allowed; with users, statements that allow services of
 * AWS (as SNS to send to a queue) are.
 */
import { isFields } from './input.ts'

export function onlyAllows(text: string, withUsers: boolean): boolean {
  try {
    const policy: unknown = JSON.parse(text)
    if (!isFields(policy)) return false
    const { Statement: statement } = policy
    const statements = Array.isArray(statement) ? statement : [statement]
    return statements.length > 0 && statements.every((each) => isFields(each) && allows(each, withUsers))
  } catch {
    return false
  }
}

function allows(
  { Effect: effect, Principal: principal, NotPrincipal: not }: Record<string, unknown>,
  withUsers: boolean,
): boolean {
  if (effect !== 'Allow' || not !== undefined) return false
  return !withUsers || (isFields(principal) && Object.keys(principal).every((kind) => kind === 'Service'))
}
