// Notes above the message field about attached files: a model that cannot read images, a text that is too long.
import type { Attachment } from "../domain/attachments";
import { current } from "../state/chats";
import { contextUse, limitOf } from "../state/context";
import { detach, draftFiles } from "../state/attaching";
import { conditionOf, models, readsImages } from "../state/models";
import { TextButton } from "./button";
import { chooseModels, nameOf } from "./models";
import { Note } from "./note";

const isImage = ({ kind }: Attachment): boolean => kind === "image";

/** The chosen models that cannot read the attached images. */
export const blindModels = (): string[] =>
  draftFiles.value.some(isImage) ? current.value.models.filter((id) => readsImages(id) === false) : [];

const list = (names: string[]): string => new Intl.ListFormat("en").format(names);

export function FileNotes() {
  const blind = blindModels();
  if (blind.length > 0) return <NoVision blind={blind} />;
  return <TooLong />;
}

function NoVision({ blind }: { blind: string[] }) {
  const others = current.value.models.filter((id) => !blind.includes(id));
  const sighted = models.value.find((model) => readsImages(model.id) === true && conditionOf(model).light !== "down");
  const offered = others.length > 0 ? others : sighted ? [sighted.id] : [];
  return (
    <Note tone="warning">
      <strong>{list(blind.map(nameOf))} can't read images.</strong>
      <span class="buttons">
        {offered.length > 0 && (
          <TextButton onClick={() => chooseModels(offered)}>Use {list(offered.map(nameOf))}</TextButton>
        )}
        <TextButton onClick={() => draftFiles.peek().filter(isImage).forEach(detach)}>Remove the images</TextButton>
      </span>
    </Note>
  );
}

/** Before the message is sent: the server would refuse it. */
function TooLong() {
  const use = contextUse.value;
  if (!use || use.needed <= use.context || draftFiles.value.length === 0) return null;
  const larger = models.value.find((model) => (limitOf(model.id)?.context ?? 0) > use.needed);
  const needed = `about ${use.needed.toLocaleString("en")} tokens`;
  return (
    <Note tone="warning">
      <strong>The message is too long:</strong> {needed}, and the model accepts {use.context.toLocaleString("en")} with
      its answer.
      {larger && (
        <span class="buttons">
          <TextButton onClick={() => chooseModels([larger.id])}>Use {larger.id}</TextButton>
        </span>
      )}
    </Note>
  );
}
