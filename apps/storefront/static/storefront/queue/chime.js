// Two soft notes for the turn. Silent unless the visitor asks for them: only after a click a browser lets a page sound.

const NOTES = [659.25, 987.77]; // Hz: E5, B5
const APART = 0.25; // s from one to the next
const LENGTH = 0.7; // s
const VOLUME = 0.2;

export class Chime {
  #audio;

  /** `box` is a checkbox. It sounds when it is ticked, so that the visitor knows what to listen for. */
  constructor(box) {
    if (!("AudioContext" in window)) return;
    box.closest("[hidden]").hidden = false;
    box.addEventListener("change", () => {
      this.#audio?.close();
      this.#audio = box.checked ? new AudioContext() : undefined;
      this.play();
    });
  }

  /** Resolves when it has been heard, at once if it was not asked for. */
  async play() {
    const audio = this.#audio;
    if (!audio) return;
    audio.resume(); // some browsers stop it in a tab that is not seen
    NOTES.forEach((frequency, number) => {
      const at = audio.currentTime + number * APART;
      const tone = new OscillatorNode(audio, { frequency });
      const volume = new GainNode(audio, { gain: 0 });
      volume.gain.setTargetAtTime(VOLUME, at, 0.01);
      volume.gain.setTargetAtTime(0, at + 0.05, LENGTH / 5);
      tone.connect(volume).connect(audio.destination);
      tone.start(at);
      tone.stop(at + LENGTH);
    });
    await new Promise((resolve) => setTimeout(resolve, (APART + LENGTH) * 1000));
  }
}
