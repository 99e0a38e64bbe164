import { refit } from "../app/navigate";

/** Sizes of the pictures: a layout takes effect a while after it is chosen, and only then can they be fitted. */
const sizes = new ResizeObserver(() => {
  refit.value++;
});

/** Fits the pictures anew whenever this one changes its size; the answer ends that. */
export function watchSize(element: Element): () => void {
  sizes.observe(element);
  return () => sizes.unobserve(element);
}
