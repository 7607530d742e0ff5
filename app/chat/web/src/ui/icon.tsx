// Line icons in the current text colour. They have no accessible name: the control around them has one.
import {
  ArrowDown,
  ArrowUp,
  Check,
  ChevronDown,
  ChevronLeft,
  ChevronRight,
  Columns2,
  Copy,
  Ellipsis,
  FileText,
  Image,
  Info,
  Keyboard,
  KeyRound,
  Menu,
  Monitor,
  Moon,
  PanelLeft,
  Paperclip,
  Pencil,
  Pin,
  Play,
  Plus,
  RotateCw,
  ScrollText,
  Search,
  SlidersHorizontal,
  Square,
  SquarePen,
  Sun,
  Trash2,
  TriangleAlert,
  Upload,
  Download,
  X,
  type IconNode,
} from "lucide";
import { h } from "preact";

const ICONS = {
  attach: Paperclip,
  alert: TriangleAlert,
  check: Check,
  chevron: ChevronDown,
  columns: Columns2,
  copy: Copy,
  dark: Moon,
  download: Download,
  down: ArrowDown,
  edit: Pencil,
  file: FileText,
  image: Image,
  info: Info,
  key: KeyRound,
  keyboard: Keyboard,
  light: Sun,
  menu: Menu,
  more: Ellipsis,
  new: SquarePen,
  next: ChevronRight,
  panel: PanelLeft,
  pin: Pin,
  play: Play,
  plus: Plus,
  previous: ChevronLeft,
  prompt: ScrollText,
  redo: RotateCw,
  remove: Trash2,
  search: Search,
  send: ArrowUp,
  settings: SlidersHorizontal,
  stop: Square,
  system: Monitor,
  upload: Upload,
  close: X,
} satisfies Record<string, IconNode>;

export type IconName = keyof typeof ICONS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true">
      {(ICONS[name] as IconNode).map(([tag, attributes]) => h(tag, attributes))}
    </svg>
  );
}
