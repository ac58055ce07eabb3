/**
 * The names of the lanes that an app defines. Declare them once, and every lane name is checked when it compiles:
 * `declare module 'nestjs-lane-cache' { interface LaneNames { models: true } }`.
 */
// oxlint-disable-next-line typescript/no-empty-interface, typescript/no-empty-object-type -- apps add its members
export interface LaneNames {}
