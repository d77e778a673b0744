// Chips choose an episode; its video, its cursor and its read-out always show the same control step.
(() => {
  const viewers = [...document.querySelectorAll(".viewer")];
  const chips = [...document.querySelectorAll(".chips button")];
  const select = (chosen) => {
    viewers.forEach((viewer, i) => { viewer.hidden = i !== chosen; if (i !== chosen) viewer.pause(); });
    chips.forEach((chip, i) => { chip.setAttribute("aria-selected", i === chosen); chip.tabIndex = i === chosen ? 0 : -1; });
  };
  const number = (value) => value === null ? "–" : value.toFixed(2).replace("-", "−");

  viewers.forEach((viewer) => {
    const data = JSON.parse(viewer.querySelector("script").textContent);
    const scrub = viewer.querySelector(".scrub"), button = viewer.querySelector(".play button");
    const plots = [...viewer.querySelectorAll("svg.traces")], video = viewer.querySelector("video");
    const last = data.frames - 1;
    let step = 0, timer = 0;

    const show = (wanted) => {
      step = Math.min(Math.max(Math.round(wanted), 0), last);
      for (const plot of plots) {
        const { left, right } = plot.dataset, x = +left + (right - left) * step / Math.max(last, 1);
        const cursor = plot.querySelector(".cursor");
        cursor.setAttribute("x1", x); cursor.setAttribute("x2", x);
      }
      const driver = data.human[step] ? "human" : "policy";
      viewer.querySelectorAll("[data-cell]").forEach((cell) => {
        const name = cell.dataset.cell;
        cell.textContent = name === "step" ? `${step} of ${last}` : name === "driver" ? driver
          : name === "v_e" ? (data.v_e[step] === null ? "–" : (-data.v_e[step]).toFixed(0)) : number(data[name][step]);
      });
      scrub.setAttribute("aria-valuenow", step);
      scrub.setAttribute("aria-valuetext", `step ${step}, ${driver} drives, viability ${number(data.p_v[step])}`);
    };
    const seek = (wanted) => { show(wanted); if (video) video.currentTime = (step + 0.5) / data.fps; };
    const playing = () => video ? !video.paused : timer !== 0;
    const label = () => { button.textContent = playing() ? "Pause" : "Play"; };
    const follow = () => { if (!playing()) return; show(Math.floor(video.currentTime * data.fps + 1e-3)); requestAnimationFrame(follow); };

    viewer.pause = () => { if (video) video.pause(); clearInterval(timer); timer = 0; label(); };
    const play = () => {
      if (step >= last) seek(0);
      if (video) { video.play(); return; }
      timer = setInterval(() => { show(step + 1); if (step >= last) viewer.pause(); }, 1000 / data.fps);
      label();
    };
    const toggle = () => playing() ? viewer.pause() : play();

    if (video) {
      // A blob seeks reliably everywhere, a data: address does not.
      const bytes = Uint8Array.from(atob(video.src.split(",")[1]), (c) => c.charCodeAt(0));
      video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
      video.removeAttribute("controls");
      video.addEventListener("play", () => { label(); follow(); });
      video.addEventListener("pause", label);
      video.addEventListener("ended", () => { show(last); label(); });
      video.addEventListener("click", toggle);
    }
    button.addEventListener("click", toggle);

    const point = (event) => {
      const plot = plots.find((each) => each.getBoundingClientRect().width > 0);
      const box = plot.getBoundingClientRect(), { left, right, width } = plot.dataset;
      const x = (event.clientX - box.left) / box.width * width;
      seek((x - left) / (right - left) * last);
    };
    scrub.addEventListener("pointerdown", (event) => {
      viewer.pause(); scrub.setPointerCapture(event.pointerId); scrub.focus({ preventScroll: true }); point(event);
    });
    scrub.addEventListener("pointermove", (event) => { if (scrub.hasPointerCapture(event.pointerId)) point(event); });
    scrub.addEventListener("keydown", (event) => {
      const jump = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity }[event.key];
      if (event.key === " ") toggle();
      else if (jump !== undefined) { viewer.pause(); seek(event.shiftKey ? step + 10 * jump : step + jump); }
      else return;
      event.preventDefault();
    });
    seek(0);
  });

  chips.forEach((chip, i) => {
    chip.addEventListener("click", () => select(i));
    chip.addEventListener("keydown", (event) => {
      const jump = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!jump) return;
      const next = (i + jump + chips.length) % chips.length;
      select(next); chips[next].focus();
    });
  });
  if (viewers.length) select(0);
})();
