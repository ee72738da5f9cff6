/** Every operation there is. */
import type { Route } from '../route.ts'
import { compatibilityRoutes } from './compatibility.ts'
import { schemaRoutes } from './schemas.ts'
import { settingRoutes } from './settings.ts'
import { subjectRoutes } from './subjects.ts'

export const routes: readonly Route[] = [...subjectRoutes, ...schemaRoutes, ...settingRoutes, ...compatibilityRoutes]
