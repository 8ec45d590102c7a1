// The theme's framework writes some widths as style attributes, which the policy refuses. Give them to the element as an object, which
// it does not. Loaded before the framework starts.
const { setAttribute } = Element.prototype;

Element.prototype.setAttribute = function (name, value) {
  if (name === "style") {
    this.style.cssText = value;
  } else {
    setAttribute.call(this, name, value);
  }
};
