// The model picker: one model, or several to compare, each with its state.
import { MAX_MODELS, configure } from "../domain/conversation";
import type { ModelStatus } from "../gateway/status";
import { change, current } from "../state/chats";
import { closePanel, openPanel, phone } from "../state/layout";
import {
  AUTO,
  type Condition,
  type Light,
  automatic,
  conditionNamed,
  conditionOf,
  models,
  placeholderFor,
  statusError,
  statusPage,
} from "../state/models";
import { rememberModels } from "../state/preferences";
import { Dialog } from "./dialog";
import { Icon } from "./icon";

const WORDS: Record<Light, string> = {
  ready: "ready",
  busy: "busy",
  asleep: "asleep",
  loading: "loading",
  down: "down",
  unknown: "state unknown",
};

export function LightDot({ light }: { light: Light }) {
  return <span class={`light ${light}`} aria-hidden="true" />;
}

export const nameOf = (id: string): string => (id === AUTO ? "Automatic" : id);

export function chooseModels(chosen: string[]): void {
  rememberModels(chosen);
  change(current.peek().id, (now) => configure(now, { models: chosen }));
}

export function PickerButton() {
  const chosen = current.value.models;
  const short = phone.value && chosen.length > 1;
  return (
    <button type="button" class="picker-button" aria-haspopup="dialog" onClick={() => openPanel("models")}>
      <span class="unseen">Models: </span>
      {chosen.map((id) => (
        <span key={id} class="picked">
          <LightDot light={conditionNamed(id).light} />
          <span class={short ? "unseen" : "picked-name"}>{nameOf(id)}</span>
          {placeholderFor(id) && !short && <span class="tag">Demo</span>}
          <span class="unseen">, {WORDS[conditionNamed(id).light]}; </span>
        </span>
      ))}
      {short && <span class="picked-name">{chosen.length} models</span>}
      {chosen.length === 0 && <span class="picked-name">Choose a model</span>}
      <Icon name="chevron" />
    </button>
  );
}

export function ModelsPanel() {
  const chosen = current.value.models;
  const several = models.value.length > 1;
  const choosable = several && automatic.value.length > 0;
  return (
    <Dialog name="models" title="Models" shape="dropdown">
      {several && <p class="quiet">Pick a model, or add up to {MAX_MODELS} to compare.</p>}
      {statusError.value && <p class="note error">{statusError.value}</p>}
      <ul class="models">
        {choosable && (
          <Row
            id={AUTO}
            description="Picks an available model for each message"
            condition={conditionNamed(AUTO)}
            chosen={chosen}
            comparable={false}
            placeholder={null}
          />
        )}
        {models.value.map((model) => (
          <Row
            key={model.id}
            id={model.id}
            description={describe(model)}
            condition={conditionOf(model)}
            chosen={chosen}
            comparable={several}
            placeholder={model.placeholder}
          />
        ))}
      </ul>
      {models.value.length === 0 && !statusError.value && <p class="quiet">Loading models…</p>}
      {chosen.length > 1 && <BlindChoice />}
      {statusPage.value && (
        <p class="quiet">
          <a href={statusPage.value} target="_blank" rel="noreferrer">
            Status of all services
          </a>
        </p>
      )}
    </Dialog>
  );
}

function describe({ description, context, external }: ModelStatus): string {
  const parts = [description, external ? "external" : "", context ? `${inThousands(context)} context` : ""];
  return parts.filter(Boolean).join(" · ");
}

const inThousands = (tokens: number): string => (tokens < 1024 ? String(tokens) : `${Math.round(tokens / 1024)}K`);

interface RowProps {
  id: string;
  description: string;
  condition: Condition;
  chosen: string[];
  comparable: boolean;
  placeholder: ModelStatus["placeholder"];
}

function Row({ id, description, condition, chosen, comparable, placeholder }: RowProps) {
  const picked = chosen.includes(id);
  const others = chosen.filter((other) => other !== id && other !== AUTO);
  const full = !picked && others.length >= MAX_MODELS;
  const choose = (): void => {
    chooseModels([id]);
    closePanel();
  };
  return (
    <li class={`model ${picked ? "chosen" : ""}`}>
      <button type="button" class="model-main" aria-pressed={picked} autofocus={id === chosen[0]} onClick={choose}>
        <span class="model-line">
          <LightDot light={condition.light} />
          <strong>{nameOf(id)}</strong>
          {placeholder && <span class="tag">Demo model</span>}
          <span class="model-state">{condition.label}</span>
        </span>
        {description && <span class="quiet">{description}</span>}
        {condition.reason && <span class={`model-reason ${condition.light}`}>{condition.reason}</span>}
        {condition.advice && <span class="quiet">{condition.advice}</span>}
        {placeholder && <span class="quiet">{placeholderText(placeholder)}</span>}
      </button>
      {comparable && (
        <button
          type="button"
          class="compare-toggle"
          aria-pressed={picked && chosen.length > 1}
          aria-label={picked ? `Remove ${id} from the comparison` : `Compare with ${id}`}
          title={
            full ? `At most ${MAX_MODELS} models` : picked ? "Remove from the comparison" : "Add to the comparison"
          }
          disabled={full || (picked && chosen.length === 1)}
          onClick={() => chooseModels(picked ? others : [...others, id])}
        >
          <Icon name={picked ? "check" : "plus"} />
        </button>
      )}
    </li>
  );
}

export const placeholderText = (placeholder: NonNullable<ModelStatus["placeholder"]>): string =>
  `Replies are placeholder text from “${placeholder.model}” (${placeholder.reason}).`;

function BlindChoice() {
  const { id, blind } = current.value;
  return (
    <label class="switch">
      <input
        type="checkbox"
        role="switch"
        checked={blind}
        onChange={(event) => {
          const checked = event.currentTarget.checked;
          change(id, (now) => configure(now, { blind: checked }));
        }}
      />
      <span>
        <strong>Blind comparison</strong>
        <span class="quiet">Names and speeds stay hidden until you vote.</span>
      </span>
    </label>
  );
}
