/** True if `A` and `B` are the same type, also where each is assignable to the other, as with `any`. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- how the compiler compares types exactly
export type Same<A, B> = (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? true : false;

/** Compiles only if `A` and `B` are the same type. */
export function isSame<A, B>(..._unused: Same<A, B> extends true ? [] : [never]): void {}
