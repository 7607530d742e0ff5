// Steps through the versions of a question or an answer.
import { IconButton } from "./button";

interface Props {
  /** Plural noun for the versions, used in the accessible name. */
  label: string;
  at: number;
  count: number;
  disabled?: boolean;
  show: (index: number) => void;
}

export function Pager({ label, at, count, disabled = false, show }: Props) {
  if (count < 2) return null;
  return (
    <span class="pager" role="group" aria-label={`Versions: ${label}`}>
      <IconButton
        icon="previous"
        label="Earlier version"
        disabled={disabled || at === 0}
        onClick={() => show(at - 1)}
      />
      <span>
        {at + 1} / {count}
      </span>
      <IconButton
        icon="next"
        label="Later version"
        disabled={disabled || at === count - 1}
        onClick={() => show(at + 1)}
      />
    </span>
  );
}
